"""Small video clips, written with PyAV; importing this skips the tests of a machine without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'edgebench[camera]'")

HEIGHT, WIDTH = 48, 64


def picture(index: int) -> NDArray[np.uint8]:
    """A bright corner at the upper left on grey that grows lighter from frame to frame."""
    image = np.full((HEIGHT, WIDTH, 3), 20 + 8 * index, np.uint8)
    image[: HEIGHT // 2, : WIDTH // 2] = 250
    return image


def write_clip(path: Path, frames: int, codec: str = "mjpeg") -> None:
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        container.start_encoding()
        for index in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index), format="rgb24")))
        container.mux(stream.encode())


def write_silence(path: Path) -> None:
    """A file with sound and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())


def turn_clip(path: Path) -> None:
    """Note in the MP4 file that its pictures are to be turned a quarter clockwise, as a telephone does."""
    content = bytearray(path.read_bytes())
    # The matrix of the track header: version and flags, times, number, duration, layer and volume stand before it.
    start = content.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    one = 1 << 16
    matrix = (0, one, 0, -one, 0, 0, HEIGHT * one, 0, 1 << 30)
    content[start : start + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in matrix)
    path.write_bytes(content)
