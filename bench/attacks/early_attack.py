"""Early Attack: the last exit keeps its answer, and every exit before it loses it.

Haque et al., "Dynamic Neural Network is All You Need: Understanding the Robustness of Dynamic Mechanisms in Neural
Networks" (ICCV workshops 2023), section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import torch
from torch import Tensor

from bench.attacks.aimed import several_exits
from bench.attacks.ball import Ball
from bench.attacks.base import Attack, Crafted
from bench.attacks.gates import parse_draws, parse_way
from bench.attacks.gradients import Gradients
from bench.attacks.penalised import Look, Penalised, Start
from bench.attacks.target import Outputs, Target
from bench.attacks.white_box import check_count, check_radius

# In normalised pixels, (x - 0.5) / 0.25, a distance is four times as long.
_SQUARED_SCALES = {"normalised": 16.0, "pixels": 1.0}


@dataclass(frozen=True)
class EarlyAttack(Attack):
    """Minimises |x' - x|^2 + c (-alpha sum_j relu(p_N[y] - p_N[j]) + sum_k p_k[y]); y is the last exit's clean answer.

    `early:alpha=1` for what the paper describes.  Its public code differs in three points, each an option:
    `keep=last` (no success that was lost again comes back), `classes=10` (of a hundred classes only the first ten are
    held down at the last exit), and nothing holds x' near x but the distance, which `eps` can bound in linf.
    """

    alpha: float = field(default=1.0, metadata={"help": "what keeping the last answer is worth", "example": "20"})
    c: float = field(default=50.0, metadata={"help": "what both aims are worth against the distance", "example": "50"})
    eps: Fraction | None = field(default=None, metadata={"help": "bound in linf, 0 to 1", "example": "8/255"})
    steps: int = field(default=1000, metadata={"help": "steps, 1 to 100000", "example": "1000"})
    rate: float = field(default=0.01, metadata={"help": "Adam's rate, above 0", "example": "0.01"})
    settle: int = field(default=200, metadata={"help": "first step at which success ends it", "example": "200"})
    start: Start = "random"
    keep: Literal["last", "best"] = "best"
    distance: Literal["normalised", "pixels"] = "normalised"
    classes: int | None = field(default=None, metadata={"help": "classes in the first sum, the first ones"})
    eot: str = field(default="1", metadata={"help": "draws a gradient is averaged over, or exact", "example": "20"})
    gates: str = field(default="straight-through", metadata={"help": "the way through the gates, or route:BITS"})

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        for name in ("alpha", "c", "rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is a number above 0, not {getattr(self, name):g}; for example {name}=1")
        if self.settle < 0:
            raise ValueError(f"settle is a step from 0 on, not {self.settle}; for example settle=200")
        if self.eps is not None:
            check_radius(self.eps, "linf")
        if self.classes is not None:
            check_count("classes", self.classes)
        parse_draws(self.eot)
        parse_way(self.gates)

    @property
    def ball(self) -> Ball | None:
        return None if self.eps is None else Ball("linf", float(self.eps))

    @property
    def looks(self) -> int:
        return self.steps + 1

    def craft(self, target: Target, images: Tensor, labels: Tensor, generator: torch.Generator) -> Crafted:
        """Adversarial copies of `images`, whose `labels` it does not look at; see `Attack.craft`."""
        radius = 1.0 if self.eps is None else float(self.eps)
        low, high = (images - radius).clamp(min=0.0), (images + radius).clamp(max=1.0)
        aim = _Aim(self, target, images, generator)
        search = Penalised(self.steps, self.rate, self.settle, self.keep, self.start, _SQUARED_SCALES[self.distance])
        crafted = search.run(images, low, high, aim.look, generator)
        return Crafted(crafted, aim.zero, aim.non_finite, aim.spent, aim.queries)


class _Aim:
    """The attack's term for one batch, and what its gradients were like."""

    def __init__(self, attack: EarlyAttack, target: Target, images: Tensor, generator: torch.Generator) -> None:
        self._attack, self._target, self._generator = attack, target, generator
        self.zero, self.non_finite = torch.zeros(2, len(images), dtype=torch.int32)
        self.spent = self.queries = 0
        # Until the clean answers are known, any class will do.
        self._answers = torch.zeros(len(images), dtype=torch.int64)
        asked = self._gradients(torch.arange(len(images)))
        self._answers = asked.ask(images).probabilities.argmax(1)
        self.queries = asked.queries

    def look(self, images: Tensor, rows: Tensor) -> Look:
        gradients = self._gradients(rows)
        self._reached = torch.ones(len(rows), dtype=torch.bool)
        slope = gradients.at(images)
        self.spent += gradients.spent
        assert gradients.zero is not None
        assert gradients.non_finite is not None
        self.zero[rows] += gradients.zero
        self.non_finite[rows] += gradients.non_finite
        return Look(self._attack.c * slope.gradient, self._reached)

    def _gradients(self, rows: Tensor) -> Gradients:
        answers = self._answers[rows]
        self._reached = torch.ones(len(rows), dtype=torch.bool)

        def raised(outputs: Outputs) -> Tensor:
            mine = answers[outputs.rows]
            # Under several draws it is reached where it is in every one.
            self._reached[outputs.rows[~flipped(outputs.scores, mine)]] = False
            return self._worth(outputs.scores, mine)

        attack = self._attack
        way, draws = parse_way(attack.gates), parse_draws(attack.eot)
        return Gradients(self._target, raised, way=way, draws=draws, generator=self._generator)

    def _worth(self, scores: Sequence[Tensor], answers: Tensor) -> Tensor:
        """What is raised, (rows,)."""
        mine = answers.unsqueeze(1)
        early = several_exits(self._target, scores)
        last = scores[-1].softmax(1)
        ahead = (last.gather(1, mine) - last)[:, : self._attack.classes].relu().sum(1)
        still = torch.stack([each.softmax(1).gather(1, mine)[:, 0] for each in early]).sum(0)
        return self._attack.alpha * ahead - still


def flipped(scores: Sequence[Tensor], answers: Tensor) -> Tensor:
    """Whether the last exit gives the answer (rows,) and no other exit does, (rows,) bool."""
    given = torch.stack([each.argmax(1) == answers for each in scores])
    return given[-1] & ~given[:-1].any(0)
