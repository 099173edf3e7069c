"""The run's side of the gallery."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Condition, Thread
from time import monotonic_ns

import numpy as np

from bench.timeline import FrameRecord
from devices.sources.base import Frame

_SHOW_EVERY_NS = 100_000_000
_KEEP_EVERY_NS = 1_000_000_000
# The last picture may still be written to a slow card.
_END_S = 5.0


class GalleryError(Exception):
    """Frames cannot be shown or kept: one sentence."""


def check_screen() -> None:
    """Refuse, before anything is measured, a window that could not be opened.

    Raises:
        GalleryError: there is no screen, or no Tk.
    """
    if not os.environ.get("DISPLAY"):
        raise GalleryError("--show needs a screen, and DISPLAY names none: keep pictures instead, with --snapshot DIR")
    if find_spec("tkinter") is None or find_spec("_tkinter") is None:
        raise GalleryError("--show needs Tk, which is missing: sudo apt install python3-tk, or use --snapshot DIR")


def check_folder(folder: Path) -> None:
    """Make the folder for pictures, which must be new or empty: old ones are deleted while new ones come.

    Raises:
        GalleryError: it holds files, or cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        holds_files = next(folder.iterdir(), None) is not None
    except OSError as error:
        raise GalleryError(f"{folder}: no pictures can be kept there ({error.strerror or error})") from None
    if holds_files or not os.access(folder, os.W_OK):
        raise GalleryError(f"{folder} holds files, or may not be written to: name a new folder for the pictures")


class Gallery:
    """Called with every frame and the model's record; passes on ten a second to a window, or one a second to a folder.

    A process that cannot keep up misses frames, and one that died (a window that was closed) is not spoken to again.
    """

    def __init__(self, *, window: bool, folder: Path | None, classes: Sequence[str]) -> None:
        self._every_ns = _SHOW_EVERY_NS if window else _KEEP_EVERY_NS
        self._classes = classes
        self._due_ns = 0
        self._next: tuple[Frame, FrameRecord] | None = None
        self._ended = False
        self._changed = Condition()
        self._process = _launch(window, folder)
        self._thread = Thread(target=self._pass_on, name="gallery", daemon=True)
        self._thread.start()

    def __call__(self, frame: Frame, record: FrameRecord) -> None:
        now_ns = monotonic_ns()
        if now_ns < self._due_ns:
            return
        self._due_ns = now_ns + self._every_ns
        with self._changed:
            self._next = frame, record
            self._changed.notify()

    def close(self) -> None:
        """Let the last frame be drawn, and end the process."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(_END_S)
        try:
            self._process.communicate(timeout=_END_S)
        except (subprocess.TimeoutExpired, OSError, ValueError):
            self._process.kill()
            self._process.wait()

    def _pass_on(self) -> None:
        stream = self._process.stdin
        assert stream is not None
        with suppress(OSError, ValueError):
            while True:
                with self._changed:
                    while self._next is None and not self._ended:
                        self._changed.wait()
                    taken, self._next = self._next, None
                if taken is None:
                    break
                frame, record = taken
                stream.write(_header(frame, record, self._classes))
                stream.write(np.ascontiguousarray(frame.image).data)
                stream.flush()


def caption(record: FrameRecord, classes: Sequence[str]) -> list[str]:
    """What is written into a frame: the answer and whether it is right, the path, the latency."""
    if record.predicted is None:
        answer = "no answer"
    else:
        answer = _name(record.predicted, classes)
        if record.label is not None:
            answer += " (right)" if record.predicted == record.label else f" (wrong: {_name(record.label, classes)})"
    path = " ".join(filter(None, (record.route, f"exit {record.exit}" if record.exit else "")))
    latency = f"{record.inference_ns / 1e6:.2f} ms, {record.capture_to_result_ns / 1e6:.2f} ms from its arrival"
    return [f"frame {record.frame}  {answer}", *(["path " + path] if path else []), latency]


def _name(label: int, classes: Sequence[str]) -> str:
    return classes[label] if 0 <= label < len(classes) else f"class {label}"


def _header(frame: Frame, record: FrameRecord, classes: Sequence[str]) -> bytes:
    height, width, _ = frame.image.shape
    header = {"frame": record.frame, "height": height, "width": width, "roi": frame.roi}
    return json.dumps({**header, "lines": caption(record, classes)}).encode() + b"\n"


def _launch(window: bool, folder: Path | None) -> subprocess.Popen[bytes]:
    """In a session of its own: signals of the terminal are for the run."""
    search_path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
    arguments = [*(["--window"] if window else []), *([] if folder is None else ["--folder", str(folder.resolve())])]
    return subprocess.Popen(
        [sys.executable, "-m", "bench.gallery.process", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={**os.environ, "PYTHONPATH": search_path},
        start_new_session=True,
    )
