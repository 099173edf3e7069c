"""What a GStreamer pipeline gives: in a process of its own, run by the Python that the board's GStreamer belongs to.

The elements of a board (`nvarguscamerasrc`) come with the system's packages, which a virtual environment does not see
and whose Python may be another version.  A process also can be ended when its driver hangs.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import ClassVar, Literal

import numpy as np

from devices.sources.base import SourceError
from devices.sources.device import Device, LostError, Shot
from devices.sources.gstreamer_process import BGR, END, ERROR, HEADER, RGB, START
from devices.sources.images import MAX_PIXELS
from devices.sources.live import Live

SYSTEM_PYTHON = "/usr/bin/python3"
INSTALL = "sudo apt install python3-gi gir1.2-gstreamer-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
POLL_S = 0.1
# As much of a picture as the kernel takes at once; the default of 64 KiB wakes both sides forty times for each.
PIPE_BYTES = 1 << 20
MAX_MESSAGE_BYTES = 4096
# When GStreamer is started for the first time, it looks at every plugin that is installed.
START_S = 60.0


@dataclass
class Gstreamer(Live):
    """`gst://PIPELINE`, written as for gst-launch-1.0 without a sink: `gst://v4l2src device=/dev/video0 ! jpegdec`.

    Size and rate are the pipeline's: end it with `video/x-raw,width=640,height=480`.  A pipeline that is not live, such
    as one that reads a file, plays at the rate of its own times.  One that contains a question mark ends in another.

    Raises:
        SourceError: the pipeline is empty, or an option is out of range.
    """

    location: str = field(metadata={"help": "the pipeline, without a sink", "example": "videotestsrc is-live=true"})
    python: str = field(
        default=SYSTEM_PYTHON, metadata={"help": "a Python with GStreamer or OpenCV", "example": SYSTEM_PYTHON}
    )

    advice: ClassVar[str] = "check the pipeline with gst-launch-1.0"

    def __post_init__(self) -> None:
        if not self.location.strip():
            raise SourceError("gst:// holds no pipeline: write one, for example gst://videotestsrc is-live=true")
        super().__post_init__()

    @property
    def title(self) -> str:
        return "gst"

    def open(self) -> Device:
        return GstreamerDevice(self.location, self.python, self.title)


class GstreamerDevice:
    """A pipeline that runs in another process and hands its pictures over a pipe.

    Raises:
        SourceError: there is no such Python, it has no GStreamer, or the pipeline does not start.
    """

    def __init__(self, pipeline: str, python: str, title: str) -> None:
        script = Path(__file__).with_name("gstreamer_process.py")
        try:
            # -I: the modules of this environment are not for that Python.  A session of its own: Ctrl-C is for us.
            self._process = subprocess.Popen(
                [python, "-I", str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise SourceError(
                f"{title} needs a Python that has GStreamer, and {python} cannot be run ({error.strerror}): "
                "name one with python=PATH"
            ) from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._title, self._python = title, python
        self._given = self._started = False
        self._header = np.empty(HEADER.size, np.uint8)
        self._part, self._filled = self._header, 0
        with contextlib.suppress(OSError):
            _widen(self._stdout.fileno())
        with contextlib.suppress(BrokenPipeError):
            self._stdin.write(json.dumps(pipeline).encode() + b"\n")
        try:
            self._wait_for_start()
        except BaseException:
            self.close()
            raise

    def read(self) -> Shot | Literal["nothing", "garbage"]:
        if not self._fill():
            return "nothing"
        if self._part is self._header:
            self._part, self._filled = np.empty(self._announced(), np.uint8), 0
            if self._part.size and not self._fill():
                return "nothing"
        order, width, height, stride, captured_ns, _ = HEADER.unpack(self._header.data)
        content, self._part, self._filled = self._part, self._header, 0
        if order == START:
            self._started = True
            return "nothing"
        if order == END:
            raise EOFError
        if order == ERROR:
            self._fail(bytes(content).decode(errors="replace"))
        self._given = True
        rows = content.reshape(height, stride)[:, : width * 3].reshape(height, width, 3)
        image = np.ascontiguousarray(rows if order == RGB else rows[:, :, ::-1])
        return Shot(image, captured_ns if captured_ns >= 0 else None)

    def close(self) -> None:
        # The driver of a camera may hang in the process, which then would not hear a kinder word.
        self._process.kill()
        self._process.wait()
        self._stdin.close()
        self._stdout.close()

    def _wait_for_start(self) -> None:
        until_s = monotonic() + START_S
        try:
            while not self._started:
                self.read()
                if monotonic() > until_s:
                    raise LostError(f"did not start within {START_S:g} s")
        except EOFError:
            raise SourceError(f"{self._title} ended before it began: try the pipeline with gst-launch-1.0") from None
        except LostError as error:
            raise SourceError(f"{self._title} {error}: try the pipeline with gst-launch-1.0") from None

    def _fill(self) -> bool:
        """Read what is there into the part that is awaited; whether it is complete."""
        view = self._part.data
        while self._filled < len(view):
            if not select.select([self._stdout], [], [], POLL_S)[0]:
                return False
            count = os.readv(self._stdout.fileno(), [view[self._filled :]])
            if count == 0:
                raise LostError(f"was lost (its process ended with status {self._process.wait()})")
            self._filled += count
        return True

    def _announced(self) -> int:
        """How many bytes follow the header."""
        order, width, height, stride, _, size = HEADER.unpack(self._header.data)
        if order in (START, END, ERROR) and size <= MAX_MESSAGE_BYTES:
            return int(size)
        if order not in (RGB, BGR) or not 0 < width * height <= MAX_PIXELS or stride < 3 * width:
            raise LostError("sent something else than pictures")
        if size != stride * height or stride > 3 * width + 4096:
            raise LostError("sent something else than pictures")
        return int(size)

    def _fail(self, reason: str) -> None:
        """Before the first picture a failure is one of the request, later of the device."""
        if self._given:
            raise LostError(f"was lost ({reason})")
        if reason == "no GStreamer":
            raise SourceError(f"{self._title} needs GStreamer in {self._python}: {INSTALL}")
        raise SourceError(f"{self._title} does not run ({reason}): try the pipeline with gst-launch-1.0")


def _widen(descriptor: int) -> None:
    import fcntl

    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
