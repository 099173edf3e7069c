"""A network camera that can be made to misbehave, read by FFmpeg over a real connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import pytest
import rtsp_camera
from rtsp_camera import RtspCamera

from bench.spec import build, format_spec, parse_spec
from devices.sources.base import SourceError, is_live
from devices.sources.capture import Capture
from devices.sources.rtsp import Rtsp

Cameras = Callable[..., RtspCamera]


@pytest.fixture
def camera() -> Iterator[Cameras]:
    cameras: list[RtspCamera] = []

    def started(*arguments: object, **options: object) -> RtspCamera:
        cameras.append(RtspCamera(*arguments, **options))  # type: ignore[arg-type]
        return cameras[-1]

    yield started
    for each in cameras:
        each.close()


def test_its_pictures_come_in_order(camera: Cameras) -> None:
    source = Rtsp(camera(40).address)
    frames = list(islice(source.frames(), 8))
    assert [frame.name for frame in frames] == [f"{source.title} frame {index}" for index in range(8)]
    for index, frame in enumerate(frames):
        assert np.abs(frame.image.astype(int) - rtsp_camera.picture(index)).mean() < 6
        assert frame.captured_ns is None
    assert (is_live(source), source.length, source.task, source.remarks()) == (True, None, None, [])


def test_it_may_hang_upside_down(camera: Cameras) -> None:
    image = next(Rtsp(camera(40).address, flip="both").frames()).image
    assert image[-10:, -10:].mean() > 200 > 60 > image[:10, :10].mean()
    assert image.flags["C_CONTIGUOUS"]


def test_a_connection_that_is_cut_is_made_again(camera: Cameras) -> None:
    source = Rtsp(camera(6).address, retry=60)
    assert len(list(islice(source.frames(), 12))) == 12
    assert source.remarks()
    assert all(" ended at frame " in remark and ", and was back after " in remark for remark in source.remarks())


def test_without_retries_the_frames_before_the_cut_are_given(camera: Cameras) -> None:
    frames = Rtsp(camera(12).address, retry=0).frames()
    assert len(list(islice(frames, 8))) == 8
    with pytest.raises(SourceError, match=r"ended after \d+ frames and did not come back within 0 s: check its power"):
        list(frames)


def test_a_stall_is_seen_and_the_stream_may_come_back_in_another_size(camera: Cameras) -> None:
    source = Rtsp(camera(8, "stall", sizes=((64, 48), (96, 64))).address, timeout=2, retry=60)
    shapes = [frame.image.shape for frame in islice(source.frames(), 10)]
    assert {shapes[0], shapes[-1]} == {(48, 64, 3), (64, 96, 3)}
    stalled, resized = source.remarks()
    assert " gave no picture for 2 s at frame " in stalled
    assert " changed from 64x48 to 96x64 pixels at frame " in resized


def test_garbage_is_left_out_and_counted(camera: Cameras) -> None:
    source = Rtsp(camera(8, "garbage").address, timeout=2, retry=60)
    assert len(list(islice(source.frames(), 10))) == 10
    assert any("that no decoder reads, left out" in remark for remark in source.remarks())


def test_a_password_is_used_and_told_to_nobody(camera: Cameras) -> None:
    locked = camera(40, locked=True)
    with pytest.raises(SourceError, match="wants a password: write rtsp://USER:PASSWORD@"):
        list(Rtsp(locked.address).frames())
    source = build(parse_spec(f"rtsp://user:s3cret@{locked.address}?timeout=20"), Rtsp)
    assert format_spec("rtsp", source) == f"rtsp://***@{locked.address}?timeout=20.0"
    assert "s3cret" not in next(source.frames()).name
    with pytest.raises(SourceError) as wrong:
        list(Rtsp(f"user:wr0ng@{locked.address}").frames())
    assert "wr0ng" not in str(wrong.value)


def test_an_address_may_have_a_question_mark(camera: Cameras) -> None:
    source = build(parse_spec(f"rtsp://{camera(40).address}?channel=1&subtype=0?"), Rtsp)
    assert next(source.frames()).image.shape == (48, 64, 3)
    assert build(parse_spec(format_spec("rtsp", source)), Rtsp) == source


def test_a_camera_that_is_not_there_is_one_sentence(camera: Cameras) -> None:
    gone = camera(1)
    gone.close()
    with pytest.raises(SourceError, match=r"rtsp 127\.0\.0\.1:\d+ cannot be opened \(Connection refused\): check its"):
        list(Rtsp(gone.address).frames())


@pytest.mark.parametrize("address", ["", "/live", "user@", "a b/live"])
def test_an_address_without_a_host_is_refused(address: str) -> None:
    with pytest.raises(SourceError, match="names no host"):
        Rtsp(address)


def test_a_capture_of_it_ends_although_nothing_comes(camera: Cameras) -> None:
    capture = Capture(Rtsp(camera(12, "stall").address, timeout=2))
    assert next(capture).frame.image.shape == (48, 64, 3)
    capture.close()
    capture._thread.join(20)
    assert not capture._thread.is_alive()
