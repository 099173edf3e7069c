"""Packed image files: an `.npz` with sheets of 32 px tiles, each sheet an encoded image (AVIF or WebP)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from devices.datasets.archive import Archive, ArchiveError

TILE = 32
# A sheet is 64 x 32 tiles; anything much larger is a decompression bomb, not a data file.
MAX_SHEET_PIXELS = 64 * 64 * TILE * TILE
MAX_IMAGES = 1_000_000
FORMATS = ("AVIF", "WEBP", "PNG")


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
        with Archive(path) as archive:
            columns = {name: archive.read(name) for name in archive.headers}
        blob, offsets = columns.pop("img_bytes"), columns.pop("img_offsets").astype(np.int64)
        count, labels = int(columns.pop("n")), columns.pop("y").astype(np.int64)
    except ArchiveError as error:
        raise ValueError(f"{path} {error}; copy it again") from None
    except KeyError as error:
        raise ValueError(f"{path} is not a packed image file: it has no array {error}") from None
    except TypeError:
        raise ValueError(f"{path} is not a packed image file: n is not a number") from None
    if not 0 < count <= MAX_IMAGES or labels.shape != (count,) or not _spans(offsets, blob):
        raise ValueError(f"{path} is damaged: its counts and offsets do not fit together; copy it again")
    tiles = [_tiles(blob[start:stop].tobytes(), path) for start, stop in pairwise(offsets)]
    images = np.concatenate(tiles)[:count]
    if len(images) != count:
        raise ValueError(f"{path} is damaged: it promises {count} images and holds {len(images)}; copy it again")
    per_image = {name: column for name, column in columns.items() if column.ndim and len(column) == count}
    return PackedImages(images, labels, per_image)


def _spans(offsets: NDArray[np.int64], blob: NDArray[np.generic]) -> bool:
    """Whether the offsets cut the blob into one or more sheets, in order and without a rest."""
    if offsets.ndim != 1 or len(offsets) < 2 or blob.ndim != 1 or blob.dtype != np.uint8:
        return False
    return bool(offsets[0] == 0 and offsets[-1] == len(blob) and (np.diff(offsets) > 0).all())


def _tiles(encoded: bytes, path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as sheet:
            if sheet.width * sheet.height > MAX_SHEET_PIXELS or sheet.width % TILE or sheet.height % TILE:
                raise ValueError(f"{path} is damaged: a sheet of {sheet.width}x{sheet.height} pixels; copy it again")
            pixels: NDArray[np.uint8] = np.asarray(sheet.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError):
        raise ValueError(
            f"{path}: a sheet cannot be decoded; AVIF needs Pillow 11.3 or newer, else copy it again"
        ) from None
    rows, columns = pixels.shape[0] // TILE, pixels.shape[1] // TILE
    tiles: NDArray[np.uint8] = pixels.reshape(rows, TILE, columns, TILE, 3).swapaxes(1, 2).reshape(-1, TILE, TILE, 3)
    return tiles
