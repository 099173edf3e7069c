"""Augmentation of traffic-sign images on a batch: geometry and light, never a mirror (19/20, 33/34, 36/37, 38/39)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

# Images (batch, 3, h, w) in [0, 1], the size to make them, and a generator -> changed copies in [0, 1].
Augment: TypeAlias = Callable[[Tensor, int, torch.Generator], Tensor]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Ranges of the random changes: an angle in degrees, `contrast` and `brightness` as (lowest, highest) factors, the
    others as fractions."""

    rotation_degrees: float = 15.0
    scale: float = 0.12
    shift: float = 0.12
    contrast: tuple[float, float] = (0.5, 1.5)
    brightness: tuple[float, float] = (0.5, 1.5)
    noise: float = 0.03

    def __call__(self, images: Tensor, size: int, generator: torch.Generator) -> Tensor:
        """Changed copies of `images` (batch, 3, h, w) in [0, 1], resampled to (batch, 3, size, size) in [0, 1]."""
        batch = len(images)

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(batch, generator=generator)

        angle = uniform(-self.rotation_degrees, self.rotation_degrees) * (math.pi / 180)
        scale_x = uniform(1 - self.scale, 1 + self.scale)
        scale_y = uniform(1 - self.scale, 1 + self.scale)
        rows = (
            torch.stack((scale_x * angle.cos(), -scale_x * angle.sin(), uniform(-self.shift, self.shift)), 1),
            torch.stack((scale_y * angle.sin(), scale_y * angle.cos(), uniform(-self.shift, self.shift)), 1),
        )
        grid = F.affine_grid(torch.stack(rows, 1), [batch, 3, size, size], align_corners=False)
        changed = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        contrast = uniform(*self.contrast).view(-1, 1, 1, 1)
        gain = uniform(*self.brightness).view(-1, 1, 1, 1)
        mean = changed.mean((1, 2, 3), keepdim=True)
        changed = ((changed - mean) * contrast + mean) * gain
        strength = uniform(0.0, self.noise).view(-1, 1, 1, 1)
        changed = changed + strength * torch.randn(changed.shape, generator=generator)
        return changed.clamp_(0.0, 1.0)


# Signs at night, in fog, against the sun, and signs that fill the frame: streams hold them, training tracks rarely do.
HARD_LIGHT = Augmentation(scale=0.2, contrast=(0.15, 2.2), brightness=(0.25, 2.2))
