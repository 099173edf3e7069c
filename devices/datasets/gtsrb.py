"""The German Traffic Sign Recognition Benchmark (Stallkamp et al. 2012), packed or as officially distributed."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from devices.datasets.packed import read_packed

CLASSES = 43
# Its frames stand byte for byte in the official test set; training on it would leak.
LEAKED_CLASS, LEAKED_TRACK = 14, 23


@dataclass(frozen=True, slots=True)
class Gtsrb:
    """`images` (n, 32, 32, 3) uint8 RGB; `labels`, `tracks`, `frames` (n,) int64; -1 where the test set has no track."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    tracks: NDArray[np.int64]
    frames: NDArray[np.int64]

    def rows(self, keep: NDArray[np.bool_]) -> Gtsrb:
        return Gtsrb(self.images[keep], self.labels[keep], self.tracks[keep], self.frames[keep])


def read_gtsrb(folder: Path, split: Literal["train", "test"]) -> Gtsrb:
    """The split in `folder`: `gtsrb-train.npz` / `gtsrb-test-public.npz`.

    The training split comes without the track that leaks into the test set.

    Raises:
        FileNotFoundError: the folder holds no GTSRB files.
        ValueError: a file is damaged.
    """
    packed = read_packed(folder / {"train": "gtsrb-train.npz", "test": "gtsrb-test-public.npz"}[split])
    none = np.full(len(packed.labels), -1, np.int64)
    tracks, frames = none, none
    if "track" in packed.columns:
        tracks = packed.columns["track"].astype(np.int64)
        frames = packed.columns["frame"].astype(np.int64)
    data = Gtsrb(packed.images, packed.labels, tracks, frames)
    if split == "test":
        return data
    leaked = (packed.labels == LEAKED_CLASS) & (packed.columns["track_in_class"] == LEAKED_TRACK)
    return data.rows(~leaked)
