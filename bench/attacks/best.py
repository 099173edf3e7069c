"""The best that an attack has found for each image so far."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.attacks.gradients import View


class Best:
    """Keeps, for each image, a candidate that fools the network over one that does not, and then that of the highest
    loss; the clean image until anything else was offered."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images = images.clone()
        self._labels = labels
        self._fooled = torch.zeros(len(images), dtype=torch.bool)
        self._losses = torch.full((len(images),), -torch.inf)

    def offer(self, images: Tensor, view: View) -> None:
        """Take what is better of `images` (n, 3, h, w), which have this view."""
        fooled = view.fools(self._labels)
        better = (fooled & ~self._fooled) | ((fooled == self._fooled) & (view.losses > self._losses))
        self.images[better] = images.detach()[better]
        self._losses = torch.where(better, view.losses, self._losses)
        self._fooled = self._fooled | (fooled & better)
