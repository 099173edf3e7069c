"""The process that draws: reads frames from standard input, and ends with it."""

from __future__ import annotations

import argparse
import json
import os
import select
import time
from collections import deque
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

# A picture of 32 pixels is nothing to look at, and one of 4000 fits no window.
_SHORTEST_SIDE, _LONGEST_SIDE = 320, 960
_TEXT_PX, _LINE_PX = 16, 21
_KEEP_EVERY_S = 1.0
# Ten minutes of them: the oldest go first.
_MOST_KEPT = 600
_POLL_S = 0.05


def drawn(image: Image.Image, lines: list[str], roi: tuple[int, int, int, int] | None) -> Image.Image:
    """The frame at a size to look at, its marked region framed, with a line of text each below it."""
    scale = max(_SHORTEST_SIDE / min(image.size), 1.0)
    scale = min(scale, _LONGEST_SIDE / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    sheet = Image.new("RGB", (max(width, _SHORTEST_SIDE), height + _LINE_PX * len(lines) + 6), "black")
    sheet.paste(image.resize((width, height), Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR))
    draw = ImageDraw.Draw(sheet)
    if roi is not None:
        draw.rectangle([round(edge * scale) for edge in roi], outline="lime", width=2)
    font = ImageFont.load_default(_TEXT_PX)
    for index, line in enumerate(lines):
        draw.text((6, height + 3 + index * _LINE_PX), line, fill="white", font=font)
    return sheet


def frames(stream: FileIO, idle: Callable[[], None]) -> Iterator[tuple[int, Image.Image]]:
    """The number and the drawn picture of every frame; `idle` is called while none comes."""
    while True:
        while not select.select([stream], [], [], _POLL_S)[0]:
            idle()
        header = stream.readline()
        if not header:
            return
        of_frame: dict[str, Any] = json.loads(header)
        size = of_frame["width"], of_frame["height"]
        content = _read(stream, 3 * size[0] * size[1])
        if content is None:
            return
        roi = of_frame["roi"]
        picture = Image.frombytes("RGB", size, content)
        yield of_frame["frame"], drawn(picture, of_frame["lines"], None if roi is None else tuple(roi))


class Folder:
    """Keeps a picture a second, and the last ten minutes of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: deque[Path] = deque()
        self._due_s = 0.0

    def take(self, frame: int, picture: Image.Image) -> None:
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + _KEEP_EVERY_S * 0.9
        target = self._path / f"frame-{frame:07}.png"
        unfinished = target.with_suffix(".tmp")
        picture.save(unfinished, "PNG", compress_level=1)
        os.replace(unfinished, target)
        self._kept.append(target)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popleft().unlink(missing_ok=True)


class Window:
    """Shows each picture as it comes."""

    def __init__(self) -> None:
        import tkinter

        self._tk = tkinter
        self._root = tkinter.Tk()
        self._root.title("edgebench")
        self._label = tkinter.Label(self._root, background="black")
        self._label.pack()

    def take(self, frame: int, picture: Image.Image) -> None:
        content = b"P6 %d %d 255\n" % picture.size + picture.tobytes()
        # Tk keeps no reference of its own.
        self._photo = self._tk.PhotoImage(data=content, format="PPM")
        self._label.configure(image=self._photo)
        self.idle()

    def idle(self) -> None:
        """Let the window be moved, covered and closed; closing it ends the process."""
        self._root.update()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--window", action="store_true")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    os.nice(10)
    window = Window() if arguments.window else None
    folder = None if arguments.folder is None else Folder(arguments.folder)
    # Without a buffer, in which `select` would not see what has come.
    stream = open(0, "rb", buffering=0)  # noqa: SIM115
    for frame, picture in frames(stream, lambda: None if window is None else window.idle()):
        if window is not None:
            window.take(frame, picture)
        if folder is not None:
            folder.take(frame, picture)


def _read(stream: FileIO, count: int) -> bytes | None:
    """So many bytes, or None at the end of the stream."""
    content = bytearray()
    while len(content) < count:
        piece = stream.read(min(count - len(content), 1 << 20))
        if not piece:
            return None
        content += piece
    return bytes(content)


if __name__ == "__main__":
    main()
