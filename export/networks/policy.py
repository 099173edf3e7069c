"""The decision network of GuSoDrop: one look at the image, a keep-probability for every gate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from export.networks.normalise import Normalise


def _convolution(channels_in: int, channels_out: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    ]


class DecisionNetwork(nn.Module):
    """Keep-probabilities (batch, gates) from images (batch, 3, 32, 32) in [0, 1].

    Looks at the image at half resolution: four convolutions, 1.3 M MACs, 0.23% of ResNet18.  Probabilities are kept in
    [floor, 1 - floor], so that every gate stays random whatever the input: with the default floor of 0.05 each gate
    carries at least 0.286 bits, eight gates at least 2.29, and no perturbation can take a route's randomness away.
    """

    def __init__(self, gates: int, floor: float = 0.05, initial_keep: float = 0.8) -> None:
        super().__init__()
        self.floor = floor
        self.features = nn.Sequential(
            Normalise(),
            nn.AvgPool2d(2),
            *_convolution(3, 16, 1),
            *_convolution(16, 32, 2),
            *_convolution(32, 64, 2),
            *_convolution(64, 64, 1),
        )
        self.linear = nn.Linear(64, gates)
        nn.init.zeros_(self.linear.weight)
        squashed = (initial_keep - floor) / (1.0 - 2.0 * floor)
        nn.init.constant_(self.linear.bias, float(torch.logit(torch.tensor(squashed))))

    def logits(self, x: Tensor) -> Tensor:
        """What the probabilities are made from, (batch, gates), without bounds."""
        logits: Tensor = self.linear(self.features(x).mean((2, 3)))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.probabilities(self.logits(x))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Keep-probabilities in [floor, 1 - floor] from logits."""
        return self.floor + (1.0 - 2.0 * self.floor) * torch.sigmoid(logits)
