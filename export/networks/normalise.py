"""Normalisation of the input, a part of the network so that a board feeds plain [0, 1] pixels."""

from __future__ import annotations

from torch import Tensor, nn


class Normalise(nn.Module):
    """Images in [0, 1] to about zero mean and unit spread: (x - 0.5) / 0.25, the same for the three channels."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 4.0 - 2.0
