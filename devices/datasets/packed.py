"""Packed image files: an `.npz` with sheets of 32 px tiles, each sheet an encoded image (AVIF or WebP)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TILE = 32
# A sheet is 64 x 32 tiles; anything much larger is a decompression bomb, not a data file.
MAX_SHEET_PIXELS = 64 * 64 * TILE * TILE
MAX_IMAGES = 1_000_000


@dataclass(frozen=True, slots=True)
class PackedImages:
    """`images` (n, 32, 32, 3) uint8 RGB, `labels` (n,) int64, and the file's other per-image columns by name."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    columns: dict[str, NDArray[np.generic]]


def read_packed(path: Path) -> PackedImages:
    """Decode a packed file whole.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a packed image file, or its parts do not fit together.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            columns = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{path} is not a packed image file ({error}); copy it again") from None
    try:
        blob, offsets = columns.pop("img_bytes"), columns.pop("img_offsets")
        count, labels = int(columns.pop("n")), columns.pop("y").astype(np.int64)
    except KeyError as error:
        raise ValueError(f"{path} is not a packed image file: it has no array {error}") from None
    if not 0 < count <= MAX_IMAGES or len(labels) != count or offsets[0] != 0 or offsets[-1] != len(blob):
        raise ValueError(f"{path} is damaged: its counts and offsets do not fit together; copy it again")
    tiles = [
        _tiles(blob[start:stop].tobytes(), path) for start, stop in zip(offsets[:-1], offsets[1:], strict=True)
    ]
    images = np.concatenate(tiles)[:count]
    if len(images) != count:
        raise ValueError(f"{path} is damaged: it promises {count} images and holds {len(images)}; copy it again")
    per_image = {name: column for name, column in columns.items() if column.ndim and len(column) == count}
    return PackedImages(images, labels, per_image)


def _tiles(encoded: bytes, path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(encoded)) as sheet:
            if sheet.width * sheet.height > MAX_SHEET_PIXELS or sheet.width % TILE or sheet.height % TILE:
                raise ValueError(f"{path} is damaged: a sheet of {sheet.width}x{sheet.height} pixels")
            pixels = np.asarray(sheet.convert("RGB"))
    except OSError as error:
        raise ValueError(f"{path}: a sheet cannot be decoded ({error}); AVIF needs Pillow 11.3 or newer") from None
    rows, columns = pixels.shape[0] // TILE, pixels.shape[1] // TILE
    return pixels.reshape(rows, TILE, columns, TILE, 3).swapaxes(1, 2).reshape(-1, TILE, TILE, 3)
