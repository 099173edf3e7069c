"""Small GTSRB folders with made-up pictures: the packed file, and the official layout."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TILE = 32


def picture(seed: int, width: int = TILE, height: int = TILE) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def sheet(tiles: NDArray[np.uint8], columns: int) -> bytes:
    """Tiles as one encoded sheet, row by row, the last row filled up with black."""
    rows = -(-len(tiles) // columns)
    filled = np.zeros((rows * columns, TILE, TILE, 3), np.uint8)
    filled[: len(tiles)] = tiles
    pixels = filled.reshape(rows, columns, TILE, TILE, 3).swapaxes(1, 2).reshape(rows * TILE, columns * TILE, 3)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "WEBP", lossless=True, exact=True)
    return encoded.getvalue()


def write_packed(path: Path, tiles: NDArray[np.uint8], labels: list[int], **columns: NDArray[np.generic]) -> None:
    """A packed file in two sheets of four columns, the second one short."""
    cut = (len(tiles) // 2 + 3) // 4 * 4
    sheets = [sheet(part, 4) for part in (tiles[:cut], tiles[cut:]) if len(part)]
    np.savez(
        path,
        img_bytes=np.frombuffer(b"".join(sheets), np.uint8),
        img_offsets=np.cumsum([0, *map(len, sheets)]),
        codec=np.array("webp-lossless"),
        cols=np.int32(4),
        n=np.int64(len(tiles)),
        y=np.array(labels, np.uint8),
        **columns,
    )


def write_packed_train(folder: Path) -> NDArray[np.uint8]:
    """Tracks 0 and 1 of class 3, and the leaked track 23 of class 14 between 22 and 24; three frames each."""
    classes = np.repeat([3, 3, 14, 14, 14], 3)
    tracks_in_class = np.repeat([0, 1, 22, 23, 24], 3)
    count = len(classes)
    tiles = np.stack([picture(seed) for seed in range(count)])
    write_packed(
        folder / "gtsrb-train.npz",
        tiles,
        classes.tolist(),
        track_in_class=tracks_in_class.astype(np.uint8),
        track=np.repeat(np.arange(5), 3).astype(np.uint16),
        frame=np.tile([0, 1, 2], 5).astype(np.uint8),
        orig_wh=np.tile([64, 96], (count, 1)).astype(np.uint16),
        roi=np.tile([6, 9, 58, 87], (count, 1)).astype(np.uint16),
    )
    return tiles


def write_official(folder: Path) -> None:
    """The training classes (three frames of the tracks of `write_packed_train`, the others empty) and four tests."""
    header = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"
    tracks = {3: [0, 1], 14: [22, 23, 24]}
    training = folder / "Final_Training" / "Images"
    for label in range(43):
        of_class = training / f"{label:05d}"
        of_class.mkdir(parents=True)
        lines = []
        for track in tracks.get(label, []):
            for frame in range(3):
                name = f"{track:05d}_{frame:05d}.ppm"
                Image.fromarray(picture(label + track + frame, 30 + frame, 40)).save(of_class / name)
                lines.append(f"{name};{30 + frame};40;5;6;25;34;{label}\n")
        # The order of the lines says nothing.
        (of_class / f"GT-{label:05d}.csv").write_text(header + "".join(reversed(lines)))
    tests = folder / "Final_Test" / "Images"
    tests.mkdir(parents=True)
    lines = []
    for index in range(4):
        Image.fromarray(picture(index, 50, 51)).save(tests / f"{index:05d}.ppm")
        lines.append(f"{index:05d}.ppm;50;51;5;6;45;46;{index + 10}\n")
    (folder / "GT-final_test.csv").write_text(header + "".join(lines))
