"""Gradients of an attack's objective, averaged over the defence's randomness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from bench.attacks.gates import Way
from bench.attacks.target import Outputs, Target

# What is raised, (rows,) from the outputs; what stands for the network's answer, scores (rows, classes).
Objective: TypeAlias = Callable[[Outputs], Tensor]
Answer: TypeAlias = Callable[[Outputs], Tensor]

# Images times routes that are differentiated together: about 0.3 GiB for ResNet18 at 32 px.
_ROUTES_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Slope:
    """The objective at a batch of images: `losses` (n,), `gradient` (n, 3, h, w) of each image's own loss, and the
    `probabilities` (n, classes) of the answer; all are means over the randomness."""

    losses: Tensor
    gradient: Tensor
    probabilities: Tensor

    def fools(self, labels: Tensor) -> Tensor:
        """Which images are answered wrongly, (n,) bool, by the mean over the draws that made this slope."""
        return self.probabilities.argmax(1) != labels


class Gradients:
    """The gradients that one attack takes of one batch, and what was wrong with them.

    `draws` routes are drawn from `generator` for each, or with None all routes are weighed by their probabilities:
    the gradient of the expectation, through the policy too unless the way is "detached".  `generator` is the attack's
    own; the defence never draws from it.  A gradient that is not finite counts, and moves nothing.
    """

    def __init__(
        self,
        target: Target,
        objective: Objective,
        *,
        way: Way,
        draws: int | None,
        generator: torch.Generator,
        answer: Answer = lambda outputs: outputs.scores[-1],
    ) -> None:
        self._target, self._objective, self._answer = target, objective, answer
        self._way, self._generator = way, generator
        self._draws = draws if target.is_random(way) else 1
        self.spent = 0
        self.zero: Tensor | None = None
        self.non_finite: Tensor | None = None

    def at(self, images: Tensor) -> Slope:
        """The mean slope at `images`, (n, 3, h, w) in [0, 1]."""
        if self._draws is None:
            each = max(1, _ROUTES_AT_ONCE >> self._target.gates)
            slope = _joined([self._exact(part) for part in images.split(each)])
            self.spent += 2**self._target.gates
        else:
            slope = _mean([self._drawn(images) for _ in range(self._draws)])
            self.spent += self._draws
        return self._counted(slope)

    def _drawn(self, images: Tensor) -> Slope:
        images = images.detach().requires_grad_()
        outputs = self._target.outputs(images, self._way, self._generator)
        losses = self._objective(outputs)
        (gradient,) = torch.autograd.grad(losses.sum(), [images])
        return Slope(losses.detach(), gradient, self._answer(outputs).detach().softmax(1))

    def _exact(self, images: Tensor) -> Slope:
        images = images.detach().requires_grad_()
        outputs, weights = self._target.every_route(images)
        if self._way.kind == "detached":
            weights = weights.detach()
        losses = weights * self._objective(outputs)
        (gradient,) = torch.autograd.grad(losses.sum(), [images])
        answers = self._answer(outputs).detach().softmax(1) * weights.detach().unsqueeze(1)
        count = len(images)
        return Slope(losses.detach().view(-1, count).sum(0), gradient, answers.view(-1, count, answers.shape[1]).sum(0))

    def _counted(self, slope: Slope) -> Slope:
        flat = slope.gradient.flatten(1)
        non_finite = ~torch.isfinite(flat).all(1)
        zero = (flat == 0).all(1)
        self.zero = zero.int() if self.zero is None else self.zero + zero
        self.non_finite = non_finite.int() if self.non_finite is None else self.non_finite + non_finite
        if not bool(non_finite.any()):
            return slope
        gradient = torch.where(non_finite.view(-1, 1, 1, 1), torch.zeros(()), slope.gradient)
        return Slope(slope.losses, gradient, slope.probabilities)


def _mean(slopes: list[Slope]) -> Slope:
    if len(slopes) == 1:
        return slopes[0]
    parts = zip(*((slope.losses, slope.gradient, slope.probabilities) for slope in slopes), strict=True)
    return Slope(*(torch.stack(part).mean(0) for part in parts))


def _joined(slopes: list[Slope]) -> Slope:
    parts = zip(*((slope.losses, slope.gradient, slope.probabilities) for slope in slopes), strict=True)
    return Slope(*(torch.cat(part) for part in parts))
