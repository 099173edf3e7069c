"""Training examples in memory: real images and rendered ones, in an order fixed by the seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Examples:
    """`images` (n, 3, 32, 32) uint8 and `labels` (n,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def from_arrays(cls, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Examples:
        """From images (n, 32, 32, 3) uint8 RGB."""
        return cls(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))), torch.from_numpy(labels))

    def joined(self, other: Examples) -> Examples:
        return Examples(torch.cat((self.images, other.images)), torch.cat((self.labels, other.labels)))

    def subset(self, rows: Tensor) -> Examples:
        return Examples(self.images[rows], self.labels[rows])

    def balanced(self, least: int) -> Examples:
        """Every class that has fewer than `least` examples repeated in turn until it has as many."""
        rows = [torch.arange(len(self))]
        for label in range(int(self.labels.max()) + 1):
            own = (self.labels == label).nonzero()[:, 0]
            if 0 < len(own) < least:
                rows.append(own.repeat(-(-least // len(own)))[: least - len(own)])
        return self.subset(torch.cat(rows))

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Images as float in [0, 1], and labels."""
        return self.images[rows].float().div_(255.0), self.labels[rows]


class BatchOrder:
    """Which examples belong to which step: a fresh permutation every epoch, a function of the seed alone.

    Raises:
        ValueError: there are fewer examples than a batch holds.
    """

    def __init__(self, count: int, batch: int, seed: int) -> None:
        if count < batch:
            raise ValueError(f"{count} training images do not fill a batch of {batch}: add images")
        self.steps_per_epoch = count // batch
        self._count, self._batch, self._seed = count, batch, seed
        self._epoch = -1
        self._permutation = torch.empty(0, dtype=torch.int64)

    def rows(self, step: int) -> Tensor:
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed((self._seed * 1_000_003 + epoch) & 0x7FFFFFFFFFFFFFFF)
            self._permutation = torch.randperm(self._count, generator=generator)
            self._epoch = epoch
        return self._permutation[position * self._batch : (position + 1) * self._batch]
