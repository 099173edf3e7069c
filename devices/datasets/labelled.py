"""Images with labels, and the part of a training set that is held out to calibrate on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# "calibration": one training image of twenty, which no training here sees.  Thresholds that are chosen on images the
# network was trained on come out too trusting.
Split = Literal["train", "calibration", "test"]
_HELD_OUT_OF = 20


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """`images` (n, size, size, 3) uint8 RGB and `labels` (n,) int64, indices into the names of the classes."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def part(self, split: Split) -> LabelledImages:
        """Of a data set's training images, those of "train" or of "calibration"; a test set is one part."""
        if split == "test":
            return self
        held_out = np.arange(len(self.labels)) % _HELD_OUT_OF == _HELD_OUT_OF - 1
        rows = held_out if split == "calibration" else ~held_out
        return LabelledImages(self.images[rows], self.labels[rows])
