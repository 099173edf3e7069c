"""The German Traffic Sign Recognition Benchmark (Stallkamp et al. 2012), packed or as officially distributed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from devices.datasets.official_gtsrb import (
    CLASSES,
    LEAKED_CLASS,
    LEAKED_TRACK,
    OfficialImage,
    Split,
    list_official,
)
from devices.datasets.packed import TILE, PackedImages, read_packed
from devices.resize import resized_bilinear
from devices.sources.images import ImageError, decode_image

__all__ = ["CLASSES", "LEAKED_CLASS", "LEAKED_TRACK", "Gtsrb", "packed_file", "read_gtsrb"]


@dataclass(frozen=True, slots=True)
class Gtsrb:
    """Images of one size, and what is known of each.

    `images` (n, 32, 32, 3) uint8 RGB; `labels`, `tracks`, `frames` (n,) int64, tracks counted over all classes, -1
    where the test set has none; `rois` (n, 4) int64: x1, y1, x2, y2 of the sign in these images, x2 and y2 exclusive;
    `names` (n,): those of the official files, "00014/00023_00012.ppm".
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    tracks: NDArray[np.int64]
    frames: NDArray[np.int64]
    rois: NDArray[np.int64]
    names: NDArray[np.str_]

    def rows(self, keep: NDArray[np.bool_]) -> Gtsrb:
        """The images for which `keep` (n,) is true."""
        return Gtsrb(
            images=self.images[keep],
            labels=self.labels[keep],
            tracks=self.tracks[keep],
            frames=self.frames[keep],
            rois=self.rois[keep],
            names=self.names[keep],
        )


def packed_file(folder: Path, split: Split) -> Path | None:
    """The split's packed file in `folder`, if it is there."""
    path = folder / {"train": "gtsrb-train.npz", "test": "gtsrb-test-public.npz"}[split]
    return path if path.is_file() else None


def read_gtsrb(folder: Path, split: Split) -> Gtsrb:
    """The split in `folder`, from its packed file or else from the official folders.

    The training split comes without the track that leaks into the test set.

    Raises:
        FileNotFoundError: the folder holds no GTSRB files.
        ValueError: a file is damaged.
    """
    if path := packed_file(folder, split):
        try:
            return _from_packed(read_packed(path), split)
        except (KeyError, IndexError) as error:
            raise ValueError(f"{path} is damaged: its column {error} is missing or misshapen; copy it again") from None
    return _from_official(list_official(folder, split))


def _from_packed(packed: PackedImages, split: Split) -> Gtsrb:
    columns = {name: column.astype(np.int64) for name, column in packed.columns.items() if column.dtype.kind in "iu"}
    rois = np.rint(columns["roi"].reshape(-1, 4) * TILE / np.tile(columns["orig_wh"], 2)).astype(np.int64)
    if split == "test":
        none = np.full(len(packed.labels), -1, np.int64)
        names = np.array([f"{index:05d}.ppm" for index in columns["test_index"]])
        return Gtsrb(packed.images, packed.labels, none, none, rois, names)
    tracks_in_class, frames = columns["track_in_class"], columns["frame"]
    names = np.array(
        [
            f"{label:05d}/{track:05d}_{frame:05d}.ppm"
            for label, track, frame in zip(packed.labels, tracks_in_class, frames, strict=True)
        ]
    )
    data = Gtsrb(packed.images, packed.labels, columns["track"], frames, rois, names)
    return data.rows((packed.labels != LEAKED_CLASS) | (tracks_in_class != LEAKED_TRACK))


def _from_official(images: list[OfficialImage]) -> Gtsrb:
    pixels = np.empty((len(images), TILE, TILE, 3), np.uint8)
    rois = np.empty((len(images), 4), np.int64)
    for index, image in enumerate(images):
        try:
            picture = decode_image(image.path)
        except ImageError as error:
            raise ValueError(f"{image.path} {error}; download it again") from None
        height, width = picture.shape[:2]
        pixels[index] = resized_bilinear(picture, TILE)
        rois[index] = np.rint(np.array(image.roi) * TILE / (width, height, width, height))
    return Gtsrb(
        images=pixels,
        labels=np.array([image.label for image in images], np.int64),
        tracks=np.array([image.track for image in images], np.int64),
        frames=np.array([image.frame for image in images], np.int64),
        rois=rois,
        names=np.array([image.name for image in images]),
    )
