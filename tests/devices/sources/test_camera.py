from __future__ import annotations

import errno
from dataclasses import fields
from pathlib import Path

import pytest

from bench.spec import build, format_spec, parse_spec
from devices.sources import camera as camera_module
from devices.sources.base import SourceError, is_live
from devices.sources.camera import Camera
from devices.sources.device import LostError
from devices.sources.gstreamer import Gstreamer
from devices.sources.libav import LibavDevice
from devices.sources.recorded import Recorded
from devices.sources.rtsp import Rtsp

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'edgebench[camera]'")


def test_what_ffmpeg_is_asked_for() -> None:
    assert Camera("0").v4l2_options() == {"fflags": "+4"}
    source = build(parse_spec("camera://0?width=1280,height=720,fps=29.97,encoding=mjpeg"), Camera)
    assert source.v4l2_options() == {
        "fflags": "+4",
        "video_size": "1280x720",
        "framerate": "29.97",
        "input_format": "mjpeg",
    }
    assert build(parse_spec(format_spec("camera", source)), Camera) == source
    assert (is_live(source), source.title, source.length, source.task) == (True, "camera 0", None, None)


def test_what_a_jetson_is_asked_for() -> None:
    source = Camera("csi1", width=1920, height=1080, fps=29.97)
    assert source.pipeline(1) == (
        "nvarguscamerasrc sensor-id=1 ! "
        "video/x-raw(memory:NVMM),width=1920,height=1080,framerate=29970/1000,format=NV12 ! "
        "nvvidconv ! video/x-raw,format=BGRx"
    )
    assert "width=1280,height=720,framerate=30/1" in Camera("csi0").pipeline(0)


@pytest.mark.parametrize("location", ["", "first", "-1", "csi", "0/../1", "/etc/passwd", "/dev/video0 ! x", "1000"])
def test_what_is_no_camera_is_refused(location: str) -> None:
    with pytest.raises(SourceError, match=r"for example camera://0, camera:///dev/video0 or camera://csi0"):
        Camera(location)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"width": 640}, "camera 0 was given half a size: give width and height"),
        ({"width": 0, "height": 480}, "width=0 of camera 0 is out of range: choose 1 to 16384"),
        ({"fps": 0.0}, "fps=0 of camera 0 is out of range: choose 1 to 1000, for example fps=1"),
        ({"timeout": 0.0}, "timeout=0 of camera 0 is out of range"),
        ({"retry": -1.0}, "retry=-1 of camera 0 is out of range: choose 0 to 86400, for example retry=1"),
    ],
)
def test_options_out_of_range(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(SourceError) as refused:
        Camera("0", **options)  # type: ignore[arg-type]
    assert str(refused.value).startswith(sentence)


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(SourceError, match=r"camera 987 is not there \(/dev/video987\): "):
        list(Camera("987").frames())


def test_a_file_that_is_no_camera() -> None:
    with pytest.raises(SourceError, match="camera /dev/null "):
        list(Camera("/dev/null").frames())


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EACCES, errno.EINVAL, errno.ENODEV, errno.EIO])
def test_why_a_camera_cannot_be_opened(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise av.error.FFmpegError(number, "reason")

    monkeypatch.setattr(camera_module, "LibavDevice", refused)
    monkeypatch.setattr(Path, "exists", lambda self: True)
    with pytest.raises(SourceError, match=r"^camera 0 [^:]+: \w.+"):
        Camera("0").open()


def test_ffmpegs_own_test_pictures_come_through_the_same_code() -> None:
    """The test source of FFmpeg in the place of V4L2: same reader, same decoder."""
    device = LibavDevice("testsrc=size=64x48:rate=25", "lavfi", {}, 5.0)
    shots = []
    while len(shots) < 5:
        shot = device.read()
        assert shot != "garbage"
        if shot != "nothing":
            shots.append(shot)
    device.close()
    assert [shot.image.shape for shot in shots] == [(48, 64, 3)] * 5
    assert (shots[0].image != shots[4].image).any()


def test_the_end_of_a_camera_is_a_loss() -> None:
    device = LibavDevice("testsrc=size=64x48:rate=25:duration=0.1", "lavfi", {}, 5.0)
    with pytest.raises(LostError, match="ended"):
        list(iter(device.read, None))


@pytest.mark.parametrize("source", [Camera, Rtsp, Gstreamer, Recorded])
def test_the_command_line_can_explain_every_option(source: type) -> None:
    options = [option for option in fields(source) if option.init]
    assert options[0].name == "location"
    for option in options:
        assert set(option.metadata) == {"help", "example"}
