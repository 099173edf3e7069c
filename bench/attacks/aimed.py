"""Attacks that raise an aim of their own within a ball: for each image, for each class, or one change for all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from bench.attacks.ball import Ball, Norm
from bench.attacks.base import Attack, Crafted
from bench.attacks.gates import parse_draws, parse_way
from bench.attacks.gradients import Gradients, Objective
from bench.attacks.steps import Steps
from bench.attacks.target import Target
from bench.attacks.white_box import check_count, check_radius, step_size

Share = Literal["image", "class", "all"]

# Images for which a shared change is moved at a time; the batch of DeepSloth's code.
_TOGETHER = 250


@dataclass(frozen=True)
class Aimed(Attack):
    """`steps` steps of length `step` (eps/4) up an objective, each projected back into the ball.

    With `share` of class or all, one change serves all images of a class or all there are, and is moved for some of
    them at a time.
    """

    eps: Fraction = field(
        default=Fraction(8, 255), metadata={"help": "radius of the ball, 0 to 1 in linf", "example": "8/255"}
    )
    norm: Norm = "linf"
    steps: int = field(default=30, metadata={"help": "steps, 1 to 100000", "example": "30"})
    step: Fraction | None = field(default=None, metadata={"help": "length of a step, above 0", "example": "2/255"})
    share: Share = "image"
    start: Literal["random", "image"] = "random"
    eot: str = field(default="1", metadata={"help": "draws a gradient is averaged over, or exact", "example": "20"})
    gates: str = field(
        default="straight-through",
        metadata={"help": "the way through the gates, or route:BITS", "example": "detached"},
    )

    def __post_init__(self) -> None:
        check_radius(self.eps, self.norm)
        check_count("steps", self.steps)
        step_size(self.step, self.eps)
        parse_draws(self.eot)
        parse_way(self.gates)

    @property
    def ball(self) -> Ball:
        return Ball(self.norm, float(self.eps))

    @property
    def whole(self) -> bool:
        return self.share != "image"

    @property
    def looks(self) -> int:
        return self.steps

    @abstractmethod
    def objectives(self, target: Target, images: Tensor, labels: Tensor) -> Sequence[Objective]:
        """What is raised for these images: one objective, or several whose gradients `direction` makes one of.

        Raises:
            ValueError: the target does not have what is aimed at.
        """

    def asked(self, target: Target) -> Target:
        """The part of the target that the objectives look at."""
        return target

    def direction(self, gradients: Sequence[Tensor]) -> Tensor:
        """The gradient (n, 3, h, w) to follow, of those of the objectives."""
        (gradient,) = gradients
        return gradient

    def ball_at(self, index: int) -> Ball:
        """The ball into which step `index` is projected."""
        return self.ball

    def length_at(self, index: int) -> float:
        """The length of step `index`."""
        return step_size(self.step, self.eps)

    def starting_ball(self) -> Ball:
        """Where a random start is drawn."""
        return self.ball

    def craft(self, target: Target, images: Tensor, labels: Tensor, generator: torch.Generator) -> Crafted:
        """Adversarial copies of `images`; see `Attack.craft`."""
        groups = grouped(labels, self.share)
        change = self._first(images, groups, generator)
        parts = [self._part(target, images, labels, rows, generator) for rows in self._rows(len(images), generator)]
        steps = Steps(target.journal, generator, [each for part in parts for each in part.gradients])
        begin, (change,) = steps.begin(change)
        for index in range(begin, self.steps):
            part = parts[index % len(parts)]
            gradient = part.at((images[part.rows] + change[groups[part.rows]]).clamp(0.0, 1.0), self)
            together = torch.zeros_like(change).index_add(0, groups[part.rows], gradient)
            ball = self.ball_at(index)
            change = ball.limit(change + self.length_at(index) * ball.steepest(together))
            if not self.whole:
                # What the range of pixels cuts off is not owed later.
                change = (images + change).clamp(0.0, 1.0) - images
            steps.taken(index, change)
        crafted = (images + self.ball.limit(change)[groups]).clamp(0.0, 1.0)
        zero, non_finite = torch.zeros(2, len(images), dtype=torch.int32)
        for part in parts:
            zero[part.rows], non_finite[part.rows] = part.count("zero"), part.count("non_finite")
        return Crafted(crafted, zero, non_finite, max(part.spent for part in parts))

    def _first(self, images: Tensor, groups: Tensor, generator: torch.Generator) -> Tensor:
        if not self.whole:
            return self.starting_ball().start(images, generator) - images if self.start == "random" else images * 0.0
        grey = images.new_full((int(groups.max()) + 1, *images.shape[1:]), 0.5)
        return self.starting_ball().start(grey, generator) - grey if self.start == "random" else grey * 0.0

    def _rows(self, count: int, generator: torch.Generator) -> Sequence[Tensor]:
        if not self.whole or count <= _TOGETHER:
            return [torch.arange(count)]
        return torch.split(torch.randperm(count, generator=generator), _TOGETHER)

    def _part(self, target: Target, images: Tensor, labels: Tensor, rows: Tensor, generator: torch.Generator) -> _Part:
        way, draws, asked = parse_way(self.gates), parse_draws(self.eot), self.asked(target)
        objectives = self.objectives(target, images[rows], labels[rows])
        return _Part(rows, [Gradients(asked, each, way=way, draws=draws, generator=generator) for each in objectives])


@dataclass(frozen=True, slots=True)
class _Part:
    """Some images, by their rows, and the gradients of each objective there."""

    rows: Tensor
    gradients: list[Gradients]

    def at(self, images: Tensor, attack: Aimed) -> Tensor:
        return attack.direction([each.at(images).gradient for each in self.gradients])

    @property
    def spent(self) -> int:
        return sum(each.spent for each in self.gradients)

    def count(self, name: Literal["zero", "non_finite"]) -> Tensor:
        """Of all the gradients of each image, (rows,)."""
        counts = [getattr(each, name) for each in self.gradients]
        return sum((each for each in counts if each is not None), torch.zeros(len(self.rows), dtype=torch.int32))


def grouped(labels: Tensor, share: Share) -> Tensor:
    """Which of the changes serves each image, (n,): as many as there are images, classes among them, or one."""
    if share == "image":
        return torch.arange(len(labels))
    if share == "all":
        return torch.zeros_like(labels)
    return torch.from_numpy(np.unique(labels.numpy(), return_inverse=True)[1])


def several_exits(target: Target, scores: Sequence[Tensor]) -> Sequence[Tensor]:
    """The scores of all exits but the last.

    Raises:
        ValueError: the network has only one.
    """
    if len(scores) < 2:
        name = target.name or "the network"
        raise ValueError(f"{name} has one exit and cannot stop earlier or later: attack its gates with depth")
    return scores[:-1]
