"""A data set as a source: its test images, or the training tracks as a car saw them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from devices.sources.base import Frame, SourceError
from devices.sources.dataset_rows import PHOTOGRAPHS, Rows, open_rows, provide
from devices.sources.location import existing_folder

LOCATIONS = (
    *(f"gtsrb/{split}" for split in ("test", "train", "tracks")),
    *(f"{data_set}/{split}" for data_set in PHOTOGRAPHS for split in ("test", "train", "calibration")),
)


@dataclass
class Dataset:
    """`dataset://gtsrb/test`, `gtsrb/tracks`, `cifar10/test`, ...: recorded images with their labels.

    Single images come in an order drawn from `seed`; of `tracks`, whole tracks do, each with its frames in order, so
    that consecutive frames are a car approaching a sign.  The official folders give images of their own size, packed
    files 32 x 32.  The training track that leaks into the test set is left out.  `calibration`, of the other data sets,
    holds training images that no training here sees.

    Raises:
        SourceError: the data is missing or damaged, or an option is out of range.
    """

    location: str = field(metadata={"help": "data set and split", "example": "gtsrb/test"})
    seed: int = field(default=0, metadata={"help": "which order, 0 or more", "example": "7"})
    folder: str | None = field(
        default=None, metadata={"help": "where the data lies; default EDGEBENCH_DATA", "example": "data"}
    )

    def __post_init__(self) -> None:
        if self.location not in LOCATIONS:
            raise SourceError(f"there is no data set {self.location!r}: choose dataset:// with {', '.join(LOCATIONS)}")
        if self.seed < 0:
            raise SourceError(
                f"seed={self.seed} of dataset://{self.location} is out of range: choose 0 or more, for example seed=7"
            )
        place = self.folder or os.environ.get("EDGEBENCH_DATA")
        if not place:
            raise SourceError(f"dataset://{self.location} does not know where the data lies: {provide(self.task)}")
        folder = existing_folder(place, f"dataset://{self.location}?folder=data")
        data_set, split = self.location.split("/")
        self._images = open_rows(folder, data_set, split)
        shuffled = _track_order if self.location.endswith("/tracks") else _image_order
        self._order = shuffled(self._images, np.random.default_rng(self.seed))

    @property
    def task(self) -> str:
        return self.location.split("/", 1)[0]

    @property
    def length(self) -> int:
        return len(self._order)

    def frames(self) -> Iterator[Frame]:
        for row in self._order:
            yield self._images.frame(int(row))

    def close(self) -> None:
        """Nothing is held open."""


def _image_order(images: Rows, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.permutation(len(images.tracks))


def _track_order(images: Rows, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows track after track, the tracks shuffled, the frames of each in order."""
    tracks, track_of_row = np.unique(images.tracks, return_inverse=True)
    place_of_track = rng.permutation(len(tracks))
    return np.lexsort((images.positions, place_of_track[track_of_row]))
