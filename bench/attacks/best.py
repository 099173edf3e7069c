"""The best that an attack has found for each image so far."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.attacks.gradients import Gradients, View


class Best:
    """Keeps, for each image, a candidate that fools the network over one that does not, and then that of the highest
    loss; the clean image until anything else was offered.

    Where the network draws, that is the best of what was seen, and part of it is luck: many cheap tries are better
    compared by `prevails`.
    """

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


def prevails(gradients: Gradients, tried: Tensor, kept: Tensor) -> Tensor:
    """Which of `tried` (n, 3, h, w) have a higher loss than `kept`, (n,) bool, both asked now.

    The highest of many values that are each a few draws owes its place to the draws: what was kept must win it again.
    """
    return gradients.ask(tried).losses > gradients.ask(kept).losses
