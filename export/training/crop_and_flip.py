"""Augmentation of photographs on a batch: a shifted crop, a mirror, and, where asked, the light."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# Weights of red, green and blue in brightness (ITU-R BT.601).
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class CropAndFlip:
    """Images padded with black by `padding` of their side (1/8: 4 of 32 px) and cropped back, half of them mirrored.

    `brightness`, `contrast` and `saturation` are the largest changes of these factors from 1, drawn in this order.
    """

    padding: float = 0.125
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __call__(self, images: Tensor, size: int, generator: torch.Generator) -> Tensor:
        """Changed copies of `images` (batch, 3, h, h) in [0, 1], resampled to (batch, 3, size, size) in [0, 1]."""
        images = self._cropped(images, generator)
        if size != images.shape[-1]:
            images = F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
        if self.brightness:
            images = images * self._factor(images, self.brightness, generator)
        if self.contrast:
            mean = _grey(images).mean((1, 2, 3), keepdim=True)
            images = mean + (images - mean) * self._factor(images, self.contrast, generator)
        if self.saturation:
            grey = _grey(images)
            images = grey + (images - grey) * self._factor(images, self.saturation, generator)
        return images.clamp(0.0, 1.0)

    def _cropped(self, images: Tensor, generator: torch.Generator) -> Tensor:
        batch, _, side, _ = images.shape
        margin = round(side * self.padding)
        shifts = torch.randint(0, 2 * margin + 1, (2, batch, 1), generator=generator)
        mirrored = torch.rand(batch, 1, generator=generator) < 0.5
        rows, columns = shifts + torch.arange(side)
        columns = torch.where(mirrored, columns.flip(1), columns)
        padded = F.pad(images, [margin] * 4).permute(0, 2, 3, 1)
        # Gathered pixel by pixel, which leaves the batch in channels-last memory.
        cropped = padded[torch.arange(batch).view(-1, 1, 1), rows.unsqueeze(2), columns.unsqueeze(1)]
        return cropped.permute(0, 3, 1, 2)

    @staticmethod
    def _factor(images: Tensor, largest: float, generator: torch.Generator) -> Tensor:
        drawn = torch.rand(len(images), 1, 1, 1, generator=generator)
        return 1.0 + largest * (2.0 * drawn - 1.0)


def _grey(images: Tensor) -> Tensor:
    return (images * torch.tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
