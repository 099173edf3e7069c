"""Runs a GStreamer pipeline and writes its pictures to stdout: `python3 -I gstreamer_process.py < PIPELINE.json`.

This file is a program of its own, for the system's Python (3.8 or newer), with nothing but what Debian packages:
GStreamer's bindings (python3-gi), or else OpenCV with GStreamer (the one of a Jetson).

Before each picture stands a header: order of the colours, width, height, bytes of a row, time taken in nanoseconds of
CLOCK_MONOTONIC (-1: unknown), bytes that follow.  START, END and ERROR are headers without a picture; after ERROR
follows a sentence.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import sys
import threading
from typing import Any

HEADER = struct.Struct("<4sIIIqQ")
RGB, BGR, START, END, ERROR = b"RGB ", b"BGR ", b"PLAY", b"END ", b"ERR "
PULL_NS = 100_000_000


def main() -> None:
    """Read the pipeline, write its pictures until it ends, or until stdin is closed: the reader has gone."""
    out = os.dup(1)
    quiet = os.open(os.devnull, os.O_WRONLY)
    # NVIDIA's elements print on stdout what they do.  With GST_DEBUG somebody wants to read it.
    os.dup2(2 if "GST_DEBUG" in os.environ else quiet, 1)
    if "GST_DEBUG" not in os.environ:
        os.dup2(quiet, 2)
    pipeline = json.loads(sys.stdin.readline())
    threading.Thread(target=_leave_with_reader, daemon=True).start()
    try:
        _run(pipeline, out)
        _write(out, HEADER.pack(END, 0, 0, 0, -1, 0))
    except BrokenPipeError:
        pass
    except Exception as error:  # whatever it is, the reader must be told
        sentence = " ".join(str(error).split()).encode()[:4000]
        _write(out, HEADER.pack(ERROR, 0, 0, 0, -1, len(sentence)) + sentence)


def _run(pipeline: str, out: int) -> None:
    try:
        importlib.import_module("gi").require_version("Gst", "1.0")
        gst = importlib.import_module("gi.repository.Gst")
    except (ImportError, ValueError):
        _run_opencv(pipeline, out)
    else:
        _run_gstreamer(gst, pipeline, out)


def _run_gstreamer(gst: Any, text: str, out: int) -> None:
    gst.init(None)
    pipeline = gst.parse_launch(
        text + " ! videoconvert ! video/x-raw,format=RGB ! appsink name=edgebench max-buffers=1"
    )
    sink = pipeline.get_by_name("edgebench")
    # A camera gives its pictures in time by itself; a file is played at the rate of its own times.
    live = pipeline.set_state(gst.State.PAUSED) == gst.StateChangeReturn.NO_PREROLL
    sink.set_property("sync", not live)
    pipeline.set_state(gst.State.PLAYING)
    _write(out, HEADER.pack(START, 0, 0, 0, -1, 0))
    bus = pipeline.get_bus()
    try:
        while True:
            sample = sink.emit("try-pull-sample", PULL_NS)
            if sample is not None:
                _write_sample(gst, pipeline, sample, live, out)
                continue
            message = bus.pop_filtered(gst.MessageType.ERROR)
            if message is not None:
                raise RuntimeError(message.parse_error()[0].message)
            if sink.get_property("eos"):
                return
    finally:
        pipeline.set_state(gst.State.NULL)


def _write_sample(gst: Any, pipeline: Any, sample: Any, live: bool, out: int) -> None:
    structure = sample.get_caps().get_structure(0)
    width, height = structure.get_value("width"), structure.get_value("height")
    content = sample.get_buffer()
    size = content.get_size()
    captured_ns = _captured_ns(gst, pipeline, sample) if live else -1
    _write(out, HEADER.pack(RGB, width, height, size // height, captured_ns, size))
    _write(out, content.extract_dup(0, size))


def _captured_ns(gst: Any, pipeline: Any, sample: Any) -> int:
    """The source's time of the picture, if it is one of CLOCK_MONOTONIC."""
    clock = pipeline.get_pipeline_clock()
    if not isinstance(clock, gst.SystemClock) or clock.get_property("clock-type") != gst.ClockType.MONOTONIC:
        return -1
    taken = sample.get_segment().to_running_time(gst.Format.TIME, sample.get_buffer().pts)
    if taken == gst.CLOCK_TIME_NONE:
        return -1
    return int(taken + pipeline.get_base_time())


def _run_opencv(text: str, out: int) -> None:
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError:
        raise RuntimeError("no GStreamer") from None
    pipeline = text + " ! videoconvert ! video/x-raw,format=BGR ! appsink max-buffers=1 sync=false"
    capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
    if not capture.isOpened():
        raise RuntimeError("OpenCV cannot open the pipeline")
    _write(out, HEADER.pack(START, 0, 0, 0, -1, 0))
    while True:
        taken, image = capture.read()
        if not taken:
            return
        height, width, _ = image.shape
        _write(out, HEADER.pack(BGR, width, height, width * 3, -1, image.nbytes))
        _write(out, image.tobytes())


def _write(out: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(out, view) :]


def _leave_with_reader() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
