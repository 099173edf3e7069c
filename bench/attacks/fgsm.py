"""FGSM: one step to the edge of the ball (Goodfellow et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.base import Crafted, crafted
from bench.attacks.target import Target
from bench.attacks.white_box import WhiteBox


@dataclass(frozen=True)
class FGSM(WhiteBox):
    """One step of length `eps` along the sign of the gradient, or in l2 along the gradient: `fgsm:8/255`."""

    def craft(self, target: Target, images: Tensor, labels: Tensor, generator: torch.Generator) -> Crafted:
        """Adversarial copies of `images`; see `Attack.craft`."""
        gradients, ball = self.gradients(target, labels, generator), self.ball
        step = ball.radius * ball.steepest(gradients.at(images).gradient)
        return crafted((images + step).clamp(0.0, 1.0), gradients)
