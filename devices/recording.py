"""A clip: frames of any source, kept without loss in a folder, with the times at which they came.

`00000000.png`, `00000001.png`, ... hold the pictures, `frames.jsonl` a line for each and a first one for the clip.  A
line is written after its picture, so that of a clip whose writer was killed all that was finished is read.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.png import encode_png
from devices.sources.base import Frame
from devices.sources.images import ImageError, decode_image

SCHEMA = 1
INDEX = "frames.jsonl"
MAX_FRAMES = 1_000_000
MAX_LINE_BYTES = 2048
MAX_NAME_LETTERS = 256
MAX_TASK_LETTERS = 64


class RecordingError(Exception):
    """A clip cannot be written or is damaged; the message is the reason alone, "has no line for frame 3"."""


@dataclass(frozen=True, slots=True)
class ClipFrame:
    """A frame without its picture; the times are nanoseconds after the first frame's arrival, None where unknown."""

    name: str
    arrival_ns: int | None
    captured_ns: int | None
    label: int | None
    track: int | None
    roi: tuple[int, int, int, int] | None


@dataclass(frozen=True, slots=True)
class Clip:
    """What a clip's index says."""

    folder: Path
    task: str | None
    frames: tuple[ClipFrame, ...]

    def times_ns(self) -> list[int] | None:
        """When each frame is due after the first, by the driver's times or else the arrivals; None without either.

        A driver whose times are missing or go back is not believed.
        """
        for times in ([frame.captured_ns for frame in self.frames], [frame.arrival_ns for frame in self.frames]):
            known = [time_ns for time_ns in times if time_ns is not None]
            if len(known) == len(times) and all(earlier <= later for earlier, later in pairwise(known)):
                return [time_ns - known[0] for time_ns in known]
        return None

    def picture(self, index: int) -> NDArray[np.uint8]:
        """The picture of a frame, (height, width, 3) uint8 RGB.

        Raises:
            ImageError: it is missing or damaged.
        """
        return decode_image(self.folder / _picture_name(index))


class ClipWriter:
    """Writes a clip into a folder, which must be new or empty.

    >>> with ClipWriter(Path("clip"), task=None) as clip:
    ...     clip.append(frame, arrival_ns)

    Raises:
        RecordingError: the folder holds files, or a frame cannot be kept.
        OSError: it cannot be written; the frames before are kept.
    """

    def __init__(self, folder: Path, task: str | None) -> None:
        self.folder = folder
        self.frames = 0
        self.bytes_written = 0
        self._first_ns: int | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if next(folder.iterdir(), None) is not None:
            raise RecordingError("already holds files: name a new folder, or empty this one")
        self._index = open(folder / INDEX, "xb", buffering=0)  # noqa: SIM115 (closed by close)
        self._add_line({"schema": SCHEMA, "task": task})

    def __enter__(self) -> ClipWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, frame: Frame, arrival_ns: int | None = None) -> None:
        """Keep a frame; of a source that is not live, when frames arrive says nothing, and is left out."""
        if self.frames == MAX_FRAMES:
            raise RecordingError(f"holds {MAX_FRAMES:,} frames, as many as a clip may: go on in another folder")
        path = self.folder / _picture_name(self.frames)
        content = encode_png(frame.image)
        try:
            path.write_bytes(content)
        except OSError:
            # A piece of a picture is of no use, and its place may be what the index needs.
            path.unlink(missing_ok=True)
            raise
        if self._first_ns is None:
            self._first_ns = arrival_ns
        self._add_line(
            {
                "name": frame.name[:MAX_NAME_LETTERS],
                "arrival_ns": self._after_first(arrival_ns),
                "captured_ns": self._after_first(frame.captured_ns),
                "label": frame.label,
                "track": frame.track,
                "roi": frame.roi,
            }
        )
        self.frames += 1
        self.bytes_written += len(content)

    def close(self) -> None:
        """Nothing waits to be written; a clip without a frame is removed."""
        self._index.close()
        if self.frames == 0:
            (self.folder / INDEX).unlink(missing_ok=True)
            with suppress(OSError):
                self.folder.rmdir()

    def _after_first(self, time_ns: int | None) -> int | None:
        return None if time_ns is None or self._first_ns is None else time_ns - self._first_ns

    def _add_line(self, values: dict[str, Any]) -> None:
        line = json.dumps(values).encode() + b"\n"
        if os.write(self._index.fileno(), line) != len(line):
            raise OSError(28, os.strerror(28), str(self.folder / INDEX))


def read_clip(folder: Path) -> Clip:
    """The index of a clip, checked; a last line that was cut off is left out.

    Raises:
        RecordingError: the folder is no clip, or its index is damaged.
        OSError: it cannot be read.
    """
    head: dict[str, Any] | None = None
    frames: list[ClipFrame] = []
    with open(folder / INDEX, "rb") as index:
        while line := index.readline(MAX_LINE_BYTES + 1):
            if not line.endswith(b"\n"):
                if len(line) > MAX_LINE_BYTES:
                    raise RecordingError(f"has a line {len(frames) + 1} that is too long")
                break
            if head is None:
                head = _head(line)
            elif len(frames) == MAX_FRAMES:
                raise RecordingError(f"holds more than {MAX_FRAMES:,} frames")
            else:
                frames.append(_frame(line, len(frames)))
    if head is None or not frames:
        raise RecordingError("holds no frame")
    return Clip(folder, head["task"], tuple(frames))


def _head(line: bytes) -> dict[str, Any]:
    head = _parsed(line, "the first line")
    if head.get("schema") != SCHEMA:
        raise RecordingError(f"has schema {head.get('schema')!r:.20}, and this version of edgebench reads {SCHEMA}")
    task = head.get("task")
    if not (task is None or (isinstance(task, str) and 0 < len(task) <= MAX_TASK_LETTERS)):
        raise RecordingError(f"has a task that is not a word of up to {MAX_TASK_LETTERS} letters")
    return {"task": task}


def _frame(line: bytes, index: int) -> ClipFrame:
    where = f"the line of frame {index}"
    values = _parsed(line, where)
    name, roi = values.get("name"), values.get("roi")
    if not isinstance(name, str) or len(name) > MAX_NAME_LETTERS:
        raise RecordingError(f"has no name in {where}")
    if roi is not None and not (isinstance(roi, list) and len(roi) == 4 and all(map(_is_whole, roi))):
        raise RecordingError(f"has a roi that is no x1, y1, x2, y2 in {where}")
    numbers = {key: values.get(key) for key in ("arrival_ns", "captured_ns", "label", "track")}
    for key, number in numbers.items():
        if not (number is None or _is_whole(number)):
            raise RecordingError(f"has a {key} that is no whole number in {where}")
    return ClipFrame(name=name, roi=None if roi is None else tuple(roi), **numbers)


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    # A hostile line nests deeper than the parser goes.
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise RecordingError(f"is damaged in {where}")
    return values


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _picture_name(index: int) -> str:
    return f"{index:08d}.png"


__all__ = ["Clip", "ClipFrame", "ClipWriter", "ImageError", "RecordingError", "read_clip"]
