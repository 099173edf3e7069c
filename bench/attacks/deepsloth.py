"""DeepSloth: no exit but the last may become sure of anything (Hong et al. 2021, "A Panda? No, It's a Sloth")."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor

from bench.attacks.aimed import Aimed, several_exits
from bench.attacks.ball import Ball
from bench.attacks.gradients import Objective
from bench.attacks.target import Outputs, Target

_SHRINK_EVERY = 50
_SHRINK = 0.9


@dataclass(frozen=True)
class DeepSloth(Aimed):
    """Every early exit towards equal scores for all classes: `deepsloth`, `deepsloth:norm=l2,eps=0.35,steps=550`.

    Without options as published for linf: a radius of 8/256, 30 steps of 0.002.  In l2 the steps shrink from 1 along
    half a cosine, and the ball from `eps`/0.9^k to `eps`, by a tenth every 50 steps.  `share=all,steps=20,step=0.005`
    is the universal attack, `share=class` the class-universal one.
    """

    eps: Fraction = field(
        default=Fraction(8, 256), metadata={"help": "radius of the ball, 0 to 1 in linf", "example": "8/256"}
    )
    step: Fraction | None = field(
        default=Fraction(2, 1000), metadata={"help": "length of a step in linf, above 0", "example": "0.002"}
    )

    def objectives(self, target: Target, images: Tensor, labels: Tensor) -> Sequence[Objective]:
        return (lambda outputs: unsure(target, outputs),)

    def ball_at(self, index: int) -> Ball:
        if self.norm == "linf":
            return self.ball
        left = (self.steps - 1 - index) // _SHRINK_EVERY
        return Ball("l2", float(self.eps) / _SHRINK**left)

    def length_at(self, index: int) -> float:
        if self.norm == "linf":
            return super().length_at(index)
        return 0.01 + 0.99 * (1 + math.cos(math.pi * index / self.steps)) / 2

    def starting_ball(self) -> Ball:
        # As published: a step's length away for an image of its own, anywhere for a shared change.
        near = self.norm == "linf" and not self.whole
        return Ball(self.norm, min(super().length_at(0), float(self.eps))) if near else self.ball


def unsure(target: Target, outputs: Outputs) -> Tensor:
    """-sum over the early exits of the cross-entropy from equal shares to softmax, (rows,); -log classes at most each.

    1e-9 keeps what was published: the logarithm of a share that is zero.
    """
    early = several_exits(target, outputs.scores)
    return torch.stack([(scores.softmax(1) + 1e-9).log().mean(1) for scores in early]).sum(0)
