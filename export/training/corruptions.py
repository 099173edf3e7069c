"""Noise and brightness on batches, at the severities of CIFAR-10-C and Tiny-ImageNet-C (Hendrycks and Dietterich 2019).

As the authors' code makes them: computed in [0, 1], clipped, and cut off to 8 bits, not rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["gaussian", "brightness"]

_SMALL = {"gaussian": (0.04, 0.06, 0.08, 0.09, 0.10), "brightness": (0.05, 0.10, 0.15, 0.20, 0.30)}
_LARGE = {"gaussian": (0.04, 0.08, 0.12, 0.15, 0.18), "brightness": (0.10, 0.20, 0.30, 0.40, 0.50)}


@dataclass(frozen=True, slots=True)
class Corruption:
    """One kind at a severity from 1 to 5; images of more than 32 px have the severities of Tiny-ImageNet-C."""

    kind: Kind
    severity: int

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Corrupted copies of `images` (n, 3, h, w) uint8."""
        amount = (_SMALL if images.shape[-1] <= 32 else _LARGE)[self.kind][self.severity - 1]
        pixels = images.float().div_(255.0)
        if self.kind == "gaussian":
            changed = pixels + amount * torch.randn(pixels.shape, generator=generator)
        else:
            changed = _brightened(pixels, amount)
        # What is whole but for the last digits of a float stays whole.
        return (changed.clamp_(0.0, 1.0) * 255.0 + 1e-4).to(torch.uint8)


EVERY = tuple(Corruption(kind, severity) for kind in ("gaussian", "brightness") for severity in range(1, 6))


def _brightened(pixels: Tensor, amount: float) -> Tensor:
    """More of the value of HSV, the largest channel; hue and saturation stay, so the others grow in proportion."""
    value = pixels.amax(1, keepdim=True)
    brighter = (value + amount).clamp(max=1.0)
    return torch.where(value > 0, pixels * (brighter / value.clamp(min=1e-6)), brighter)
