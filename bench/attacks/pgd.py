"""PGD: steps along the gradient, each projected back into the ball (Madry et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import torch
from torch import Tensor

from bench.attacks.base import Crafted, crafted
from bench.attacks.best import Best
from bench.attacks.target import Target
from bench.attacks.white_box import WhiteBox, check_count, step_size


@dataclass(frozen=True)
class PGD(WhiteBox):
    """`steps` steps of length `step` (eps/4), from a random start: `pgd:eps=8/255,steps=10,eot=20`.

    The last iterate is returned, or with `keep=best` the best of all.  Of several `restarts` an image keeps the best
    too: one that fools the network, and of these the one of the highest loss.  To tell takes one more query each.
    """

    steps: int = field(default=10, metadata={"help": "steps, 1 to 100000", "example": "10"})
    step: Fraction | None = field(default=None, metadata={"help": "length of a step, above 0", "example": "2/255"})
    restarts: int = field(default=1, metadata={"help": "random starts, 1 to 1000", "example": "5"})
    start: Literal["random", "image"] = "random"
    keep: Literal["last", "best"] = "last"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("steps", self.steps)
        check_count("restarts", self.restarts, 1000)
        step_size(self.step, self.eps)
        if self.restarts > 1 and self.start == "image":
            raise ValueError("restarts begin somewhere else each time: give start=random, or restarts=1")

    @property
    def looks(self) -> int:
        return self.restarts * (self.steps + 1)

    def craft(self, target: Target, images: Tensor, labels: Tensor, generator: torch.Generator) -> Crafted:
        """Adversarial copies of `images`; see `Attack.craft`."""
        gradients, ball, length = self.gradients(target, labels, generator), self.ball, step_size(self.step, self.eps)
        best = Best(images, labels)
        current = images
        for _ in range(self.restarts):
            current = ball.start(images, generator) if self.start == "random" else images
            for _ in range(self.steps):
                slope = gradients.at(current)
                if self.keep == "best":
                    best.offer(current, slope)
                current = ball.project(current + length * ball.steepest(slope.gradient), images)
            if self.keep == "best" or self.restarts > 1:
                best.offer(current, gradients.ask(current))
        chooses = self.keep == "best" or self.restarts > 1
        return crafted(best.images if chooses else current, gradients)
