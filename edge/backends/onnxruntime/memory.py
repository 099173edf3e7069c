"""Arrays in memory that sessions read and write directly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# Kernels run 5 to 11% slower on weights that do not start at a cache line, as plain numpy memory need not.
ALIGNMENT_BYTES = 64


@dataclass(frozen=True, slots=True)
class Shared:
    """An array, and the OrtValue through which sessions use that same memory.

    A session keeps neither alive, and uses whatever is there once they are gone: keep them as long as the session.
    """

    array: NDArray[Any]
    value: Any


def share(ort: Any, array: NDArray[Any]) -> Shared:
    """An array made usable by sessions; it is not copied."""
    return Shared(array, ort.OrtValue.ortvalue_from_numpy(array))


def aligned(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """A C-contiguous array, not initialised, that starts at a multiple of `ALIGNMENT_BYTES`."""
    size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size_bytes + ALIGNMENT_BYTES, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT_BYTES
    return memory[start : start + size_bytes].view(dtype).reshape(shape)
