"""Entropy attack: first make the policy sure, so that one route is left, and then break that route."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor

from bench.attacks.base import Crafted
from bench.attacks.depth import keep_of, policy_alone
from bench.attacks.gates import Way, parse_draws, parse_way
from bench.attacks.gradients import Gradients
from bench.attacks.losses import LOSSES
from bench.attacks.output import parse_output
from bench.attacks.target import Outputs, Target
from bench.attacks.white_box import WhiteBox, check_count, step_size


@dataclass(frozen=True)
class Entropy(WhiteBox):
    """`settle` steps down the entropy of the gates, then `steps` up the loss on the likeliest route, entropy held down.

    `weight` is what a bit of entropy is worth against the loss.  The floor of a policy bounds what this can reach: with
    keep-probabilities in [0.1, 0.9] no gate has less than 0.469 bits.
    """

    gates: str = field(default="likeliest", metadata={"help": "the way to break", "example": "likeliest"})
    settle: int = field(default=20, metadata={"help": "steps down the entropy alone, from 0 on", "example": "20"})
    steps: int = field(default=20, metadata={"help": "steps up the loss, 1 to 100000", "example": "20"})
    step: Fraction | None = field(default=None, metadata={"help": "length of a step, above 0", "example": "2/255"})
    weight: float = field(default=1.0, metadata={"help": "worth of a bit, from 0 on", "example": "1"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("steps", self.steps)
        step_size(self.step, self.eps)
        if self.settle < 0:
            raise ValueError(f"settle is a number of steps from 0 on, not {self.settle}; for example settle=20")
        if not self.weight >= 0:
            raise ValueError(f"weight is a worth from 0 on, not {self.weight:g}; for example weight=1")

    @property
    def looks(self) -> int:
        return self.settle + self.steps

    def craft(self, target: Target, images: Tensor, labels: Tensor, generator: torch.Generator) -> Crafted:
        """Adversarial copies of `images`; see `Attack.craft`."""
        policy, ball, length = policy_alone(target), self.ball, step_size(self.step, self.eps)
        sure = Gradients(
            policy, lambda outputs: -gate_entropy(keep_of(outputs)), way=Way("full"), draws=1, generator=generator
        )
        wrong = self._wrong(target, labels, generator)
        current = ball.start(images, generator)
        for gradients, steps in ((sure, self.settle), (wrong, self.steps)):
            for _ in range(steps):
                current = ball.project(current + length * ball.steepest(gradients.at(current).gradient), images)
        assert wrong.zero is not None
        assert wrong.non_finite is not None
        return Crafted(current, wrong.zero, wrong.non_finite, sure.spent + wrong.spent)

    def _wrong(self, target: Target, labels: Tensor, generator: torch.Generator) -> Gradients:
        output, loss = parse_output(self.output), LOSSES[self.loss]

        def objective(outputs: Outputs) -> Tensor:
            mine = labels[outputs.rows]
            losses = torch.stack([loss(scores, mine) for scores in output.chosen(outputs.scores)]).mean(0)
            return losses - self.weight * gate_entropy(keep_of(outputs))

        return Gradients(target, objective, way=parse_way(self.gates), draws=parse_draws(self.eot), generator=generator)


def gate_entropy(keep: Tensor) -> Tensor:
    """The entropy of a route in bits, (rows,), for keep-probabilities (rows, gates) strictly between 0 and 1."""
    nats: Tensor = torch.special.entr(torch.stack((keep, 1 - keep))).sum((0, 2))
    return nats / math.log(2.0)
