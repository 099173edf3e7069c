"""Real GStreamer pipelines, run by the system's Python; skipped where Debian's packages are missing."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from bench.spec import build, format_spec, parse_spec
from devices.sources import gstreamer
from devices.sources.base import SourceError, is_live
from devices.sources.capture import Capture
from devices.sources.gstreamer import SYSTEM_PYTHON, Gstreamer

PICTURES = "videotestsrc is-live=true pattern=smpte ! video/x-raw,width=62,height=48,framerate=50/1"
ASK = "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; Gst.init(None); "
ASK += "assert Gst.ElementFactory.find('videotestsrc') and Gst.ElementFactory.find('appsink')"


def runs(python: str, program: str) -> bool:
    return Path(python).exists() and subprocess.run([python, "-I", "-c", program], capture_output=True).returncode == 0


needs_gstreamer = pytest.mark.skipif(
    not runs(SYSTEM_PYTHON, ASK), reason=f"{SYSTEM_PYTHON} has no GStreamer: make system-packages"
)


@needs_gstreamer
def test_a_pipeline_gives_pictures_with_the_time_they_were_taken() -> None:
    source = Gstreamer(PICTURES)
    before_ns = time.monotonic_ns()
    frames = list(islice(source.frames(), 5))
    after_ns = time.monotonic_ns()
    assert is_live(source)
    assert [frame.name for frame in frames] == [f"gst frame {index}" for index in range(5)]
    times = [frame.captured_ns for frame in frames]
    assert all(taken is not None and before_ns <= taken <= after_ns for taken in times)
    assert times == sorted(times)  # type: ignore[type-var]
    # 62 pixels are 186 bytes, which GStreamer pads to 188: colour bars that are straight show that this was seen.
    image = frames[0].image
    assert image.shape == (48, 62, 3)
    assert (np.ptp(image[:25].astype(int), axis=0) <= 2).all()
    # The leftmost bar is white, the third cyan.
    assert image[5, 3].tolist() == pytest.approx([255, 255, 255], abs=3)
    assert image[5, 22].tolist() == pytest.approx([0, 255, 255], abs=3)


@needs_gstreamer
def test_mirrored_pictures() -> None:
    straight, mirrored = (next(Gstreamer(PICTURES, flip=flip).frames()).image for flip in ("none", "horizontal"))
    assert np.abs(straight[5, ::-1].astype(int) - mirrored[5]).max() <= 2


@needs_gstreamer
def test_a_pipeline_that_ends_ends_the_source() -> None:
    source = Gstreamer("videotestsrc num-buffers=4 ! video/x-raw,width=64,height=48,framerate=100/1")
    frames = list(source.frames())
    assert len(frames) == 4
    assert [frame.captured_ns for frame in frames] == [None] * 4
    assert source.remarks() == []


@needs_gstreamer
@pytest.mark.parametrize(
    ("pipeline", "reason"),
    [
        ("videotestsrc ! nosuchelement", 'no element "nosuchelement"'),
        ("filesrc location=/nowhere ! decodebin", "Resource not found"),
        ("videotestsrc ! video/x-raw,width=0", ""),
    ],
)
def test_a_pipeline_that_does_not_run_is_one_sentence(pipeline: str, reason: str) -> None:
    with pytest.raises(SourceError) as refused:
        list(Gstreamer(pipeline).frames())
    assert str(refused.value).startswith("gst does not run (")
    assert reason in str(refused.value)
    assert "try the pipeline with gst-launch-1.0" in str(refused.value)


@needs_gstreamer
def test_a_pipeline_that_gives_nothing_is_given_up() -> None:
    hanging = Gstreamer("videotestsrc is-live=true ! identity sleep-time=60000000", timeout=0.3)
    with pytest.raises(SourceError, match=r"gst gave no picture for 0\.3 s and no picture came"):
        list(hanging.frames())


@needs_gstreamer
def test_the_process_is_gone_when_the_capture_is_closed() -> None:
    source = Gstreamer(PICTURES)
    capture = Capture(source)
    next(capture)
    capture.close()
    capture._thread.join(20)
    assert not capture._thread.is_alive()


@needs_gstreamer
def test_a_process_that_dies_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Gstreamer(PICTURES, retry=60)
    opened = []
    monkeypatch.setattr(Gstreamer, "open", lambda self, real=Gstreamer.open: opened.append(real(self)) or opened[-1])
    frames = source.frames()
    next(frames)
    opened[0]._process.kill()
    while not source.remarks():
        next(frames)
    assert source.remarks()[0].startswith("gst was lost (its process ended with status -9) at frame ")
    frames.close()  # type: ignore[attr-defined]
    assert [device._process.returncode for device in opened] == [-9, -9]


@needs_gstreamer
@pytest.mark.skipif(not runs(SYSTEM_PYTHON, "import cv2"), reason=f"{SYSTEM_PYTHON} has no OpenCV: python3-opencv")
def test_without_bindings_the_boards_own_opencv_reads_the_pipeline(tmp_path: Path) -> None:
    # A Python that finds OpenCV and no gi, as on a Jetson that lacks python3-gi.
    python = tmp_path / "python3"
    python.write_text(
        f"#!{SYSTEM_PYTHON}\nimport sys, runpy\nsys.modules['gi'] = None\nsys.argv = sys.argv[2:]\n"
        "sys.path[0] = __import__('os').path.dirname(sys.argv[0])\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    python.chmod(0o755)
    image = next(Gstreamer(PICTURES, python=str(python), timeout=20).frames()).image
    assert image.shape == (48, 62, 3)
    assert image[5, 22].tolist() == pytest.approx([0, 255, 255], abs=3)


def test_a_python_without_gstreamer_says_what_to_install() -> None:
    with pytest.raises(SourceError, match=f"gst needs GStreamer in {sys.executable}: sudo apt install python3-gi"):
        list(Gstreamer("videotestsrc", python=sys.executable).frames())


def test_a_python_that_is_not_there() -> None:
    with pytest.raises(SourceError, match=r"/nowhere/python3 cannot be run \(No such file .*\): name one"):
        list(Gstreamer("videotestsrc", python="/nowhere/python3").frames())


@pytest.mark.parametrize(
    "program", ["import sys; sys.stdout.write('x' * 100)", "print(end='')", "import time; time.sleep(60)"]
)
def test_a_process_that_says_something_else_is_refused(
    tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gstreamer, "START_S", 2.0)
    python = tmp_path / "python3"
    python.write_text(f"#!{sys.executable}\n{program}\n")
    python.chmod(0o755)
    with pytest.raises(SourceError, match=r"gst (sent something else|was lost|did not start)"):
        list(Gstreamer("videotestsrc", python=str(python), timeout=1).frames())


def test_a_pipeline_is_written_as_it_is() -> None:
    text = "gst://rtspsrc location=rtsp://host/a?b=1 ! decodebin ! video/x-raw,width=64?timeout=2"
    source = build(parse_spec(text), Gstreamer)
    assert (source.location, source.timeout) == (text[6:-10], 2.0)
    assert build(parse_spec(format_spec("gst", source)), Gstreamer) == source
    with pytest.raises(SourceError, match="holds no pipeline"):
        Gstreamer("  ")
