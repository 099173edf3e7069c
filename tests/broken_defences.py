"""Defences that only look like some, around a linear network whose robustness is known in closed form."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

SIDE = 8
CLASSES = 4
PIXELS = 3 * SIDE * SIDE
GREY = 128


def patterns() -> Tensor:
    """Signs (2 * CLASSES, PIXELS): rows differ in exactly half of the pixels, and each has as many of both."""
    hadamard = torch.ones(1, 1)
    while len(hadamard) < 64:
        hadamard = torch.cat((torch.cat((hadamard, hadamard), 1), torch.cat((hadamard, -hadamard), 1)))
    return hadamard[1 : 1 + 2 * CLASSES].repeat(1, 3)


def examples(amplitudes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """8-bit frames (n, 3, SIDE, SIDE), grey with the label's pattern so many levels strong, and labels (n,)."""
    labels = np.arange(len(amplitudes)) % CLASSES
    signs = patterns().numpy().astype(int)[labels]
    frames = GREY + np.array(amplitudes)[:, None] * signs
    return frames.astype(np.uint8).reshape(-1, 3, SIDE, SIDE), labels.astype(np.int64)


class Linear(nn.Module):
    """Scores are how much of each class's pattern an image holds: right within a radius below its amplitude.

    With `fragile` they listen, so many times louder, to patterns that no image has: an attack needs as much less.
    """

    def __init__(self, fragile: float = 0.0) -> None:
        super().__init__()
        known, unknown = patterns().split(CLASSES)
        self.register_buffer("weight", (known + fragile * unknown) * (40.0 / PIXELS))

    def forward(self, images: Tensor) -> Tensor:
        return (images - GREY / 255).flatten(1) @ self.weight.T


class TwoExits(nn.Module):
    """A first exit that listens to what no image shows, and a sturdy last one, whose attack the first does not mind."""

    def __init__(self) -> None:
        super().__init__()
        self.early, self.last = Linear(fragile=3.0), Linear()

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.early(images), self.last(images)]


class ScaledSoftmax(Linear):
    """Gradient masking: the softmax is so sure that its gradient is zero."""

    def forward(self, images: Tensor) -> Tensor:
        return 1e5 * super().forward(images)


class RoundedInput(Linear):
    """A step that has no derivative stands before the network."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward((images * 255 / 2).round() * 2 / 255)


class GlobalNoise(Linear):
    """Random, from the generator that every attack may seed."""

    def forward(self, images: Tensor) -> Tensor:
        scores = super().forward(images)
        return scores + torch.randn(scores.shape)


class NoiseInTraining(GlobalNoise):
    """Random until it is deployed."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) if self.training else Linear.forward(self, images)


class NoGradient(Linear):
    """The graph is cut."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.detach())


class OneStep(Linear):
    """At images on the grid of `examples([16, ...])`, and nowhere else, the gradient points the wrong way."""

    def forward(self, images: Tensor) -> Tensor:
        turn = 2 * math.pi * 255 / 32
        return super().forward(images - 1.05 / turn * torch.sin(turn * (images - 16 / 255)))
