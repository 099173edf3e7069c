"""A search without a ball: distance is paid for, and tanh keeps pixels in range (Carlini & Wagner 2017)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

Start = Literal["random", "image"]

# Of Adam, as torch has them.
_BETAS = (0.9, 0.999)
_EPSILON = 1e-8
# tanh must not be so far out that it has no slope left.
_EDGE = 1e-3


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen at some images: the `gradient` (rows, 3, h, w) of what is to be raised, weight included, and whether
    each is what was wanted, `reached` (rows,) bool."""

    gradient: Tensor
    reached: Tensor


# Looks at images (rows, 3, h, w), which belong to the given rows of the batch.
Looking: TypeAlias = Callable[[Tensor, Tensor], Look]


@dataclass(frozen=True, slots=True)
class Penalised:
    """Adam on w, where an image is low + (high - low) (tanh w + 1) / 2, for at most `steps` steps at `rate`.

    What is minimised is the squared distance to the clean image, times `distance_scale`, minus what is raised.  An
    image that reached what was wanted is left alone from step `settle` on (counted from 0).  It keeps its last iterate,
    or with `keep` of "best" the nearest of those that reached it.  A random start is w uniform in [0, 1], as published.
    """

    steps: int
    rate: float
    settle: int
    keep: Literal["last", "best"]
    start: Start
    distance_scale: float

    def run(self, images: Tensor, low: Tensor, high: Tensor, looking: Looking, generator: torch.Generator) -> Tensor:
        """Images (n, 3, h, w) between `low` and `high`, which have the shape of `images`."""
        middle, half = (low + high) / 2, (high - low) / 2
        w = self._first(images, middle, half, generator)
        first, second = torch.zeros_like(w), torch.zeros_like(w)
        found, nearest = images.clone(), torch.full((len(images),), torch.inf, dtype=images.dtype)
        rows = torch.arange(len(images))
        for index in range(self.steps):
            if len(rows) == 0:
                break
            squashed = w.tanh()
            current = middle[rows] + half[rows] * squashed
            look = looking(current, rows)
            change = current - images[rows]
            self._keep(found, nearest, rows, current, change, look.reached)
            if index >= self.settle and bool(look.reached.any()):
                left = ~look.reached
                rows, w, first, second = rows[left], w[left], first[left], second[left]
                squashed, change = squashed[left], change[left]
                gradient = look.gradient[left]
            else:
                gradient = look.gradient
            downhill = (2 * self.distance_scale * change - gradient) * half[rows] * (1 - squashed.square())
            first = _BETAS[0] * first + (1 - _BETAS[0]) * downhill
            second = _BETAS[1] * second + (1 - _BETAS[1]) * downhill.square()
            unbiased = (second / (1 - _BETAS[1] ** (index + 1))).sqrt() + _EPSILON
            w = w - self.rate / (1 - _BETAS[0] ** (index + 1)) * first / unbiased
        return found.clamp(low, high)

    def _first(self, images: Tensor, middle: Tensor, half: Tensor, generator: torch.Generator) -> Tensor:
        if self.start == "random":
            return torch.rand(images.shape, dtype=images.dtype, generator=generator)
        share = (images - middle) / half.clamp(min=torch.finfo(images.dtype).tiny)
        return share.clamp(_EDGE - 1, 1 - _EDGE).atanh()

    def _keep(
        self, found: Tensor, nearest: Tensor, rows: Tensor, current: Tensor, change: Tensor, reached: Tensor
    ) -> None:
        """Put what is to be kept of `current` into `found`, and how far it is into `nearest`."""
        distance = change.square().flatten(1).sum(1)
        if self.keep == "last":
            better = torch.ones_like(reached)
        else:
            # Until it is reached the last iterate is as good as any.
            better = (reached & (distance < nearest[rows])) | nearest[rows].isinf()
        found[rows[better]] = current[better]
        nearest[rows[reached & better]] = distance[reached & better]
