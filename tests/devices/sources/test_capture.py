from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest

from devices.sources import capture as capture_module
from devices.sources.base import Frame, SourceError, is_live
from devices.sources.capture import Capture, Paced


class Script:
    """A source of numbered pictures; `error` ends it, all but the first `free` wait for `gate`."""

    task = None

    def __init__(
        self, frames: int, *, live: bool = False, error: Exception | None = None, free: int | None = None
    ) -> None:
        self.length, self.live, self._error = frames, live, error
        self._free = frames if free is None else free
        self.gate = threading.Event()
        self.closed = self.ended = False

    def frames(self) -> Iterator[Frame]:
        try:
            for index in range(self.length):
                if index >= self._free:
                    self.gate.wait()
                yield Frame(np.full((2, 2, 3), index % 256, np.uint8), str(index))
            if self._error is not None:
                raise self._error
        finally:
            self.ended = True

    def close(self) -> None:
        self.closed = True


def names(captures: Iterator[object]) -> list[str]:
    return [captured.frame.name for captured in captures]  # type: ignore[attr-defined]


def filled(source: Script, queue: object) -> Capture:
    """A capture that all frames have reached while nobody took any but the first."""
    capture = Capture(source, queue)  # type: ignore[arg-type]
    assert next(capture).sequence == 0
    source.gate.set()
    while not source.ended:
        time.sleep(0.001)
    return capture


def test_with_the_queue_all_every_frame_comes_in_order() -> None:
    capture = filled(Script(20, free=1), "all")
    rest = list(capture)
    assert names(iter(rest)) == [str(index) for index in range(1, 20)]
    assert [captured.sequence for captured in rest] == list(range(1, 20))
    assert (capture.arrived, capture.dropped) == (20, 0)


@pytest.mark.parametrize(("queue", "left"), [("newest", ["9"]), (1, ["9"]), (3, ["7", "8", "9"])])
def test_the_newest_frames_win_and_the_others_are_counted(queue: object, left: list[str]) -> None:
    capture = filled(Script(10, free=1), queue)
    assert names(capture) == left
    assert (capture.arrived, capture.dropped) == (10, 9 - len(left))


def test_an_error_comes_after_the_frames_before_it() -> None:
    capture = filled(Script(4, free=1, error=SourceError("the camera is gone")), "all")
    assert names(islice(capture, 3)) == ["1", "2", "3"]
    with pytest.raises(SourceError, match="gone"):
        next(capture)


def test_a_queue_that_would_fill_the_memory_ends_the_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "MAX_WAITING_BYTES", 3 * 12)
    capture = filled(Script(10, free=1), "all")
    assert names(islice(capture, 3)) == ["1", "2", "3"]
    with pytest.raises(SourceError, match=r"3 frames .* wait .* --queue newest"):
        next(capture)


def test_the_first_frame_is_not_lost_by_warming_up_with_it() -> None:
    capture = Capture(Script(3), "all")
    first = capture.first()
    assert first is not None
    assert first.name == "0"
    assert capture.first() is first
    assert names(capture) == ["0", "1", "2"]
    assert (capture.arrived, capture.dropped) == (3, 0)


def test_what_a_camera_takes_during_warm_up_is_thrown_away_and_not_counted() -> None:
    source = Script(6, live=True)
    capture = Capture(source, "all")
    assert capture.first() is not None
    while not source.ended:
        time.sleep(0.001)
    assert list(capture) == []
    assert (capture.arrived, capture.dropped) == (0, 0)


def test_an_empty_source_and_one_that_cannot_be_opened_have_no_first_frame() -> None:
    assert Capture(Script(0)).first() is None
    with pytest.raises(SourceError, match="busy"):
        Capture(Script(0, error=SourceError("busy"))).first()


def test_close_returns_although_the_driver_hangs() -> None:
    source = Script(2, free=1)
    capture = Capture(source)
    assert next(capture).frame.name == "0"
    capture.close()
    assert source.closed
    assert not source.ended
    assert list(capture) == []
    source.gate.set()


def test_close_before_the_first_frame_is_asked_for_runs_nothing() -> None:
    source = Script(2)
    capture = Capture(source)
    capture.close()
    assert list(capture) == []
    assert not source.ended


def test_the_device_is_released_when_the_capture_is_closed() -> None:
    source = Script(10**9, live=True)
    capture = Capture(source)
    next(capture)
    capture.close()
    assert source.ended


@pytest.mark.parametrize("queue", [0, -1])
def test_a_queue_without_a_place_is_refused(queue: int) -> None:
    with pytest.raises(ValueError, match="holds nothing"):
        Capture(Script(1), queue)


def test_paced_frames_arrive_on_schedule_whatever_the_consumer_does() -> None:
    source = Paced(Script(12), fps=200)
    assert is_live(source)
    capture = Capture(source, "all")
    arrivals = []
    for captured in capture:
        arrivals.append(captured.arrival_ns)
        if captured.sequence == 2:
            time.sleep(0.03)
    offsets = np.array(arrivals) - arrivals[0]
    due = np.arange(12) * 5_000_000
    # Those that the thread itself had ready too late, on a busy machine, arrive late and are counted.
    assert (offsets == due).sum() == 12 - capture.late
    assert (offsets >= due).all()


def test_the_schedule_begins_after_the_warm_up() -> None:
    capture = Capture(Paced(Script(3), fps=100), "all")
    capture.first()
    began_ns = time.monotonic_ns()
    assert next(capture).arrival_ns >= began_ns
    assert names(capture) == ["1", "2"]
    assert capture.dropped == 0


@pytest.mark.parametrize("fps", [0, -3, float("inf"), float("nan")])
def test_a_pace_must_be_a_rate(fps: float) -> None:
    with pytest.raises(ValueError, match="no rate"):
        Paced(Script(1), fps)
