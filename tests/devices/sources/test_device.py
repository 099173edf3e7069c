"""The watch over a device, against a clock that only the device moves."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest

from devices.sources.base import SourceError
from devices.sources.device import NAMED, LostError, Shot, Watch


class Clock(Event):
    """A clock, and the event that is waited for by it."""

    seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds += timeout or 0
        return self.is_set()


class Played:
    """A device that plays a script: a size is a picture, "nothing" and "garbage" are said, an exception is raised."""

    def __init__(self, clock: Clock, script: list[object]) -> None:
        self._clock, self._script, self.closed = clock, list(script), False

    def read(self) -> object:
        assert not self.closed
        self._clock.seconds += 0.1
        step = self._script.pop(0) if self._script else "nothing"
        if isinstance(step, Exception):
            raise step
        return Shot(np.zeros((step, step, 3), np.uint8)) if isinstance(step, int) else step

    def close(self) -> None:
        self.closed = True


def watched(*scripts: object, timeout: float = 1.0, retry: float = 5.0) -> tuple[Watch, list[Played]]:
    """A watch over devices, one for each time it is opened (the last again and again); an exception is raised."""
    clock, devices, left = Clock(), [], list(scripts)

    def opened() -> Played:
        script = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(script, Exception):
            raise script
        devices.append(Played(clock, script))  # type: ignore[arg-type]
        return devices[-1]

    return Watch("camera 0", "check its cable", opened, timeout, retry, clock, clock.now), devices  # type: ignore[arg-type]


GONE = SourceError("camera 0 is not there")
UNPLUGGED = LostError("was lost (No such device)")


def test_pictures_come_until_the_stream_ends() -> None:
    watch, devices = watched([4, 4, "nothing", 4, EOFError()])
    assert [shot.image.shape for shot in watch.shots()] == [(4, 4, 3)] * 3
    assert watch.remarks() == []
    assert devices[0].closed


def test_a_stall_is_told_and_the_device_opened_again() -> None:
    watch, devices = watched([4, 4], [4, 4, EOFError()])
    assert len(list(watch.shots())) == 4
    assert watch.remarks() == ["camera 0 gave no picture for 1 s at frame 2, and was back after 1.1 s"]
    assert [device.closed for device in devices] == [True, True]


def test_a_camera_that_is_unplugged_may_come_back_later() -> None:
    watch, _ = watched([4, UNPLUGGED], GONE, GONE, GONE, [4, EOFError()])
    assert len(list(watch.shots())) == 2
    assert watch.remarks() == ["camera 0 was lost (No such device) at frame 1, and was back after 0.8 s"]


def test_a_camera_that_stays_away_ends_the_stream_after_its_frames() -> None:
    watch, _ = watched([4, 4, UNPLUGGED], GONE)
    shots = watch.shots()
    assert [next(shots).image.shape for _ in range(2)] == [(4, 4, 3)] * 2
    with pytest.raises(SourceError) as ended:
        next(shots)
    assert str(ended.value) == (
        "camera 0 was lost (No such device) after 2 frames and did not come back within 5 s: "
        "check its cable, or wait longer with retry=60"
    )


def test_a_camera_that_comes_back_mute_is_given_up_in_time() -> None:
    watch, devices = watched([4], [], retry=5)
    with pytest.raises(SourceError, match="after 1 frame and did not come back within 5 s"):
        list(watch.shots())
    # Each opening is given its second.
    assert 4 <= len(devices) <= 7
    assert all(device.closed for device in devices)


def test_nothing_is_retried_before_the_first_picture() -> None:
    watch, devices = watched([])
    with pytest.raises(SourceError, match="gave no picture for 1 s and no picture came: check its cable"):
        list(watch.shots())
    assert len(devices) == 1
    with pytest.raises(SourceError, match="is not there"):
        list(watched(GONE)[0].shots())


def test_garbage_is_counted_and_only_garbage_is_a_stall() -> None:
    watch, _ = watched([4, "garbage", 4, *["garbage"] * 50], [4, EOFError()])
    assert len(list(watch.shots())) == 3
    stall, garbage = watch.remarks()
    assert stall.startswith("camera 0 gave no picture for 1 s at frame 2, and was back after 1.")
    assert garbage in {f"camera 0: {count} frames that no decoder reads, left out" for count in (11, 12)}


def test_a_new_size_is_told_and_no_error() -> None:
    watch, _ = watched([4, 8, 8, EOFError()])
    assert len(list(watch.shots())) == 3
    assert watch.remarks() == ["camera 0 changed from 4x4 to 8x8 pixels at frame 1"]


def test_a_consumer_that_takes_its_time_is_no_stall() -> None:
    watch, devices = watched([4, "nothing", 4, EOFError()])
    for _ in watch.shots():
        watch.closing.wait(100)
    assert len(devices) == 1


def test_so_many_events_are_told_and_the_others_counted() -> None:
    watch, _ = watched([*[4, 8] * 10, EOFError()])
    assert len(list(watch.shots())) == 20
    remarks = watch.remarks()
    assert len(remarks) == NAMED + 1
    assert remarks[-1] == "camera 0: 9 more such events"


def test_closing_ends_the_stream_and_releases_the_device() -> None:
    watch, devices = watched([4] * 100)
    shots = watch.shots()
    next(shots)
    watch.closing.set()
    assert list(shots) == []
    assert devices[0].closed
