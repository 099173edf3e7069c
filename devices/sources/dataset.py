"""A data set as a source: its test images, or the training tracks as a car saw them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from devices.datasets.gtsrb import Gtsrb, packed_file, read_gtsrb
from devices.datasets.official_gtsrb import OfficialImage, Split, list_official
from devices.sources.base import Frame, SourceError
from devices.sources.images import ImageError, decode_image
from devices.sources.location import existing_folder

SPLITS: dict[str, Split] = {"gtsrb/test": "test", "gtsrb/train": "train", "gtsrb/tracks": "train"}
PROVIDE = "unpack GTSRB (https://benchmark.ini.rub.de), and name its folder with folder=PATH or EDGEBENCH_DATA"


@dataclass
class Dataset:
    """`dataset://gtsrb/test`, `gtsrb/train` or `gtsrb/tracks`: recorded images with their labels.

    Single images come in an order drawn from `seed`; of `tracks`, whole tracks do, each with its frames in order, so
    that consecutive frames are a car approaching a sign.  The official folders give images of their own size, packed
    files 32 x 32.  The training track that leaks into the test set is left out.

    Raises:
        SourceError: the data is missing or damaged, or an option is out of range.
    """

    location: str = field(metadata={"help": "gtsrb/test, gtsrb/train or gtsrb/tracks", "example": "gtsrb/test"})
    seed: int = field(default=0, metadata={"help": "which order, 0 or more", "example": "7"})
    folder: str | None = field(
        default=None, metadata={"help": "where the data lies; default EDGEBENCH_DATA", "example": "data"}
    )

    def __post_init__(self) -> None:
        if self.location not in SPLITS:
            raise SourceError(f"there is no data set {self.location!r}: choose dataset:// with {', '.join(SPLITS)}")
        if self.seed < 0:
            raise SourceError(
                f"seed={self.seed} of dataset://{self.location} is out of range: choose 0 or more, for example seed=7"
            )
        place = self.folder or os.environ.get("EDGEBENCH_DATA")
        if not place:
            raise SourceError(f"dataset://{self.location} does not know where the data lies: {PROVIDE}")
        self._images = _open(existing_folder(place, f"dataset://{self.location}?folder=data"), SPLITS[self.location])
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


class _Images(Protocol):
    """Rows of a split; `tracks` and `positions` (n,) say which frame of which track a row is."""

    tracks: NDArray[np.int64]
    positions: NDArray[np.int64]

    def frame(self, row: int) -> Frame: ...


class _Packed:
    def __init__(self, data: Gtsrb) -> None:
        self._data = data
        self.tracks, self.positions = data.tracks, data.frames

    def frame(self, row: int) -> Frame:
        data = self._data
        x1, y1, x2, y2 = (int(edge) for edge in data.rois[row])
        track = int(data.tracks[row])
        return Frame(
            data.images[row],
            str(data.names[row]),
            int(data.labels[row]),
            None if track < 0 else track,
            (x1, y1, x2, y2),
        )


class _Official:
    def __init__(self, images: list[OfficialImage]) -> None:
        self._images = images
        self.tracks = np.array([image.track for image in images], np.int64)
        self.positions = np.array([image.frame for image in images], np.int64)

    def frame(self, row: int) -> Frame:
        image = self._images[row]
        try:
            pixels = decode_image(image.path)
        except ImageError as error:
            raise SourceError(f"{image.path} {error}: unpack the download again") from None
        return Frame(pixels, image.name, image.label, None if image.track < 0 else image.track, image.roi)


def _open(folder: Path, split: Split) -> _Images:
    try:
        if packed_file(folder, split):
            return _Packed(read_gtsrb(folder, split))
        return _Official(list_official(folder, split))
    except FileNotFoundError as error:
        raise SourceError(f"{error}: {PROVIDE}") from None
    except OSError as error:
        raise SourceError(f"{error.filename} cannot be read ({error.strerror}): look at its permissions") from None
    except ValueError as error:
        raise SourceError(str(error)) from None


def _image_order(images: _Images, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.permutation(len(images.tracks))


def _track_order(images: _Images, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows track after track, the tracks shuffled, the frames of each in order."""
    tracks, track_of_row = np.unique(images.tracks, return_inverse=True)
    place_of_track = rng.permutation(len(tracks))
    return np.lexsort((images.positions, place_of_track[track_of_row]))
