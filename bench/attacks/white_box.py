"""What the attacks on accuracy that follow gradients have in common: their options, and what they raise."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor

from bench.attacks.ball import Ball, Norm
from bench.attacks.base import Attack
from bench.attacks.gates import parse_draws, parse_way
from bench.attacks.gradients import Gradients
from bench.attacks.losses import LOSSES, LossName
from bench.attacks.output import parse_output
from bench.attacks.target import Outputs, Target


@dataclass(frozen=True)
class WhiteBox(Attack):
    """Options of an attack that raises the loss of the label, within a ball, by gradients."""

    eps: Fraction = field(
        default=Fraction(8, 255), metadata={"help": "radius of the ball, 0 to 1 in linf", "example": "8/255"}
    )
    norm: Norm = "linf"
    loss: LossName = "ce"
    eot: str = field(default="1", metadata={"help": "draws a gradient is averaged over, or exact", "example": "20"})
    gates: str = field(
        default="straight-through",
        metadata={"help": "the way through the gates, or route:BITS", "example": "detached"},
    )
    output: str = field(
        default="last", metadata={"help": "last, exit:K, all or taken:THRESHOLD", "example": "taken:0.9"}
    )

    def __post_init__(self) -> None:
        check_radius(self.eps, self.norm)
        parse_draws(self.eot)
        parse_way(self.gates)
        parse_output(self.output)

    @property
    def ball(self) -> Ball:
        return Ball(self.norm, float(self.eps))

    def gradients(self, target: Target, labels: Tensor, generator: torch.Generator) -> Gradients:
        """The gradients of the loss of `labels` (n,) at the chosen output, on the chosen way through the gates."""
        output, loss = parse_output(self.output), LOSSES[self.loss]

        def objective(outputs: Outputs) -> Tensor:
            chosen = output.chosen(outputs.scores)
            row_labels = labels[outputs.rows]
            return torch.stack([loss(scores, row_labels) for scores in chosen]).mean(0)

        return Gradients(
            target,
            objective,
            way=parse_way(self.gates),
            draws=parse_draws(self.eot),
            generator=generator,
            answer=lambda outputs: output.answer(outputs.scores),
        )


def check_radius(eps: Fraction, norm: Norm) -> None:
    """Refuse a radius that is negative, or larger than the cube of pixels.

    Raises:
        ValueError: it is.
    """
    if not 0 <= eps <= (1 if norm == "linf" else 1000):
        limit = "1 (linf)" if norm == "linf" else "1000 (l2)"
        raise ValueError(f"eps is a radius from 0 to {limit}, not {eps}; for example eps=8/255")


def check_count(name: str, value: int, most: int = 100_000) -> None:
    """Refuse a number of steps, restarts or queries that is not from 1 to `most`.

    Raises:
        ValueError: it is not.
    """
    if not 1 <= value <= most:
        raise ValueError(f"{name} is a whole number from 1 to {most}, not {value}; for example {name}=10")


def step_size(step: Fraction | None, eps: Fraction) -> float:
    """The length of a step: as given, or a quarter of the radius.

    Raises:
        ValueError: it is not above 0, and the radius is.
    """
    if step is not None and not 0 < step <= 1000:
        raise ValueError(f"step is a length above 0, not {step}; for example step=2/255")
    length = float(eps) / 4 if step is None else float(step)
    assert math.isfinite(length)
    return length
