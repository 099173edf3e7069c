"""MI-FGSM: steps along the sum of all gradients so far, which carries over to other networks (Dong et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor

from bench.attacks.base import Crafted, crafted
from bench.attacks.target import Target
from bench.attacks.white_box import WhiteBox, check_count, step_size


@dataclass(frozen=True)
class MomentumFGSM(WhiteBox):
    """`steps` steps of length `step` (eps/4; the paper's is eps/steps) from the image: `mifgsm:eps=8/255,steps=10`."""

    steps: int = field(default=10, metadata={"help": "steps, 1 to 100000", "example": "10"})
    step: Fraction | None = field(default=None, metadata={"help": "length of a step, above 0", "example": "2/255"})
    decay: float = field(default=1.0, metadata={"help": "share of the sum that stays, 0 to 1", "example": "1"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("steps", self.steps)
        step_size(self.step, self.eps)
        if not 0.0 <= self.decay <= 1.0:
            raise ValueError(f"decay is a share from 0 to 1, not {self.decay:g}; for example decay=1")

    @property
    def looks(self) -> int:
        return self.steps

    def craft(self, target: Target, images: Tensor, labels: Tensor, generator: torch.Generator) -> Crafted:
        """Adversarial copies of `images`; see `Attack.craft`."""
        gradients, ball, length = self.gradients(target, labels, generator), self.ball, step_size(self.step, self.eps)
        current, momentum = images, torch.zeros_like(images)
        for _ in range(self.steps):
            gradient = gradients.at(current).gradient
            # A gradient of zero stays zero, where the division alone would spoil the image.
            mean = gradient.abs().mean((1, 2, 3), keepdim=True).clamp(min=torch.finfo(gradient.dtype).tiny)
            momentum = gradient / mean + self.decay * momentum
            current = ball.project(current + length * ball.steepest(momentum), images)
        return crafted(current, gradients)
