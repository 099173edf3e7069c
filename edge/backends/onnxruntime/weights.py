"""The weights of an optimised network: one copy in memory for all sessions that use them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backends.onnxruntime.memory import Shared, aligned, share


class WeightPool:
    """Weights by name; those of equal content are one."""

    def __init__(self, ort: Any) -> None:
        self._ort = ort
        self._by_content: dict[tuple[str, tuple[int, ...], bytes], Shared] = {}
        self.by_name: dict[str, Shared] = {}

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Copy a weight into the pool under a name."""
        array = np.ascontiguousarray(array)
        content = (array.dtype.str, array.shape, hashlib.sha256(array.data).digest())
        if content not in self._by_content:
            copy = aligned(array.shape, array.dtype)
            copy[...] = array
            self._by_content[content] = share(self._ort, copy)
        self.by_name[name] = self._by_content[content]

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def __getitem__(self, name: str) -> Shared:
        return self.by_name[name]

    @property
    def size_bytes(self) -> int:
        """Memory that the pool holds."""
        return sum(weight.array.nbytes for weight in self._by_content.values())
