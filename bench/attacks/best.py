"""The best that an attack has found for each image so far."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.attacks.gradients import Slope


class Best:
    """Keeps, for each image, a candidate that fools the network over one that does not, and then that of the highest
    loss; the clean image until anything else was offered."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images = images.clone()
        self._labels = labels
        self._fooled = torch.zeros(len(images), dtype=torch.bool)
        self._losses = torch.full((len(images),), -torch.inf)

    def offer(self, images: Tensor, slope: Slope) -> None:
        """Take what is better of `images` (n, 3, h, w), which have this slope."""
        fooled = slope.fools(self._labels)
        better = (fooled & ~self._fooled) | ((fooled == self._fooled) & (slope.losses > self._losses))
        self.images[better] = images.detach()[better]
        self._losses = torch.where(better, slope.losses, self._losses)
        self._fooled = self._fooled | (fooled & better)
