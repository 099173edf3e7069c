"""From a camera's frame to the network's input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# x1, y1, x2, y2 in pixels of the frame; x2 and y2 are one past the last.
Roi = tuple[int, int, int, int]
_SCALES = {np.dtype(np.uint8): np.float32(1 / 255), np.dtype(np.float32): np.float32(1)}


class RegionError(ValueError):
    """A region does not lie inside a frame: one sentence."""


class Preprocessor:
    """Crops, resizes and scales: uint8 (height, width, 3) RGB -> float32 (1, 3, h, w) in [0, 1].

    An image that is float32 in [0, 1] already, which no camera gives, is not scaled.

    Bilinear with half-pixel centres and without antialiasing, as the training images were made.  The sampling grid of a
    frame size is computed once and kept while frames of that size come.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self._grid_for: Roi | None = None
        self._grid: _Grid | None = None

    def __call__(self, image: NDArray[np.uint8] | NDArray[np.float32], roi: Roi | None = None) -> NDArray[np.float32]:
        """The network's input, C-contiguous.

        Raises:
            ValueError: the image is not (height, width, 3) uint8 or float32.
            RegionError: `roi` does not lie inside it.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype not in _SCALES:
            raise ValueError(f"a frame is (height, width, 3) uint8 RGB, not {image.shape} {image.dtype}")
        area = roi or (0, 0, image.shape[1], image.shape[0])
        if not (0 <= area[0] < area[2] <= image.shape[1] and 0 <= area[1] < area[3] <= image.shape[0]):
            raise RegionError(
                f"the region {area} does not lie inside a frame of {image.shape[1]}x{image.shape[0]} pixels"
            )
        if area[2] - area[0] == self.width and area[3] - area[1] == self.height:
            sampled = image[area[1] : area[3], area[0] : area[2]].astype(np.float32)
        else:
            if self._grid is None or area != self._grid_for:
                self._grid, self._grid_for = _Grid(area, self.height, self.width), area
            sampled = self._grid.sample(image)
        tensor = np.empty((1, 3, self.height, self.width), np.float32)
        np.multiply(sampled.transpose(2, 0, 1), _SCALES[image.dtype], out=tensor[0])
        return tensor


class _Grid:
    """The four neighbours of every sample and their weights."""

    def __init__(self, area: Roi, height: int, width: int) -> None:
        left, top, right, bottom = area
        self._top, self._bottom, row_weight = _neighbours(top, bottom, height)
        self._left, self._right, column_weight = _neighbours(left, right, width)
        self._row_weight = row_weight[:, None, None]
        self._column_weight = column_weight[None, :, None]

    def sample(self, image: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
        def row(rows: NDArray[np.intp]) -> NDArray[np.float32]:
            lines = image[rows]
            left = lines[:, self._left].astype(np.float32)
            result: NDArray[np.float32] = left + (lines[:, self._right] - left) * self._column_weight
            return result

        upper = row(self._top)
        return upper + (row(self._bottom) - upper) * self._row_weight


def _neighbours(start: int, stop: int, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    positions = (np.arange(count) + 0.5) * ((stop - start) / count) - 0.5
    positions = np.clip(positions, 0, stop - start - 1)
    lower = np.floor(positions).astype(np.intp)
    upper = np.minimum(lower + 1, stop - start - 1)
    return lower + start, upper + start, (positions - lower).astype(np.float32)
