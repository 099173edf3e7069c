"""The rows of the data sets, whatever files they lie in."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from devices.datasets import gtsrb, official_gtsrb
from devices.datasets.cifar import Cifar, read_cifar
from devices.datasets.labelled import LabelledImages, Split
from devices.datasets.tiny_imagenet import read_tiny_imagenet
from devices.sources.base import Frame, SourceError
from devices.sources.images import ImageError, decode_image

PHOTOGRAPHS = ("cifar10", "cifar100", "tiny-imagenet")
_DOWNLOADS = {
    "gtsrb": "GTSRB (https://benchmark.ini.rub.de)",
    "cifar10": "CIFAR-10 (https://www.cs.toronto.edu/~kriz/cifar.html, the python version)",
    "cifar100": "CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html, the python version)",
    "tiny-imagenet": "Tiny-ImageNet (tiny-imagenet-200.zip)",
}


def provide(data_set: str) -> str:
    """What to do where the data is missing."""
    return f"unpack {_DOWNLOADS[data_set]}, and name its folder with folder=PATH or EDGEBENCH_DATA"


class Rows(Protocol):
    """Rows of a split; `tracks` and `positions` (n,) say which frame of which track a row is."""

    tracks: NDArray[np.int64]
    positions: NDArray[np.int64]

    def frame(self, row: int) -> Frame: ...


class _Packed:
    def __init__(self, data: gtsrb.Gtsrb) -> None:
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
    def __init__(self, images: list[official_gtsrb.OfficialImage]) -> None:
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


class _Labelled:
    """Single images: no row belongs to a track."""

    def __init__(self, data: LabelledImages, name: str) -> None:
        self._data, self._name = data, name
        self.tracks = np.full(len(data.labels), -1, np.int64)
        self.positions = np.zeros(len(data.labels), np.int64)

    def frame(self, row: int) -> Frame:
        return Frame(self._data.images[row], f"{self._name} {row}", int(self._data.labels[row]))


def open_rows(folder: Path, data_set: str, split: str) -> Rows:
    """The images of one of `dataset.LOCATIONS`.

    Raises:
        SourceError: the folder does not hold them, or they are damaged.
    """
    try:
        if data_set != "gtsrb":
            return _Labelled(_photographs(folder, data_set, split), f"{data_set} {split}")
        return _traffic_signs(folder, "test" if split == "test" else "train")
    except FileNotFoundError as error:
        raise SourceError(f"{error}: {provide(data_set)}") from None
    except OSError as error:
        raise SourceError(f"{error.filename} cannot be read ({error.strerror}): look at its permissions") from None
    except ValueError as error:
        raise SourceError(str(error)) from None


def _photographs(folder: Path, data_set: str, split: str) -> LabelledImages:
    if data_set == "tiny-imagenet":
        return read_tiny_imagenet(folder, cast(Split, split))
    return read_cifar(folder, cast(Cifar, data_set), cast(Split, split))


def _traffic_signs(folder: Path, split: official_gtsrb.Split) -> Rows:
    if gtsrb.packed_file(folder, split):
        return _Packed(gtsrb.read_gtsrb(folder, split))
    return _Official(official_gtsrb.list_official(folder, split))
