"""Pictures at another size, as the runtime resizes a camera's frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def resized_bilinear(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Bilinear without antialiasing, half-pixel centres, edges repeated: OpenCV's INTER_LINEAR."""
    top, bottom, down = _taps(image.shape[0], size)
    left, right, across = _taps(image.shape[1], size)
    upper, lower = image[top].astype(np.float32), image[bottom].astype(np.float32)
    rows = upper + (lower - upper) * down[:, None, None]
    first, second = rows[:, left], rows[:, right]
    return np.asarray(first + (second - first) * across[:, None] + np.float32(0.5), dtype=np.uint8)


def _taps(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    position = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    lower = np.floor(position).astype(np.intp)
    return lower, np.minimum(lower + 1, source - 1), (position - lower).astype(np.float32)
