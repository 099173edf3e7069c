"""Gradients of an attack's objective, averaged over the defence's randomness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

from bench.attacks.gates import Way
from bench.attacks.target import Outputs, Target

# What is raised, (rows,) from the outputs; what stands for the network's answer, scores (rows, classes).
Objective: TypeAlias = Callable[[Outputs], Tensor]
Answer: TypeAlias = Callable[[Outputs], Tensor]

ViewT = TypeVar("ViewT", bound="View")

# Images times routes that are differentiated together: about 0.3 GiB for ResNet18 at 32 px.
_ROUTES_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class View:
    """The objective at a batch of images: `losses` (n,), and the `probabilities` (n, classes) of the answer; both are
    means over the randomness."""

    losses: Tensor
    probabilities: Tensor

    def fools(self, labels: Tensor) -> Tensor:
        """Which images are answered wrongly, (n,) bool, by the mean over the draws that made this view."""
        return self.probabilities.argmax(1) != labels


@dataclass(frozen=True, slots=True)
class Slope(View):
    """A view with the `gradient` (n, 3, h, w) of each image's own loss."""

    gradient: Tensor


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
        # There is no going through all that a network may draw besides gates: with None that is drawn once.
        self._draws = draws if (target.draws_gates(way) if draws is None else target.is_random(way)) else 1
        self._each = 2**target.gates if self._draws is None else self._draws
        self.spent = self.queries = 0
        self.zero: Tensor | None = None
        self.non_finite: Tensor | None = None

    @property
    def is_noisy(self) -> bool:
        """Whether two looks at the same images can differ."""
        return self._draws is not None and self._target.is_random(self._way)

    def at(self, images: Tensor) -> Slope:
        """The mean slope at `images`, (n, 3, h, w) in [0, 1]."""
        slopes = self._looks(images, self._slope)
        self.spent += self._each
        self._target.looked()
        parts = zip(*((slope.losses, slope.probabilities, slope.gradient) for slope in slopes), strict=True)
        return self._counted(Slope(*map(self._together, parts)))

    @torch.no_grad()
    def ask(self, images: Tensor) -> View:
        """The mean view of `images`, (n, 3, h, w) in [0, 1]: the forward passes alone."""
        views = self._looks(images, self._view)
        self.queries += self._each
        self._target.looked()
        parts = zip(*((view.losses, view.probabilities) for view in views), strict=True)
        return View(*map(self._together, parts))

    def _looks(self, images: Tensor, look: Callable[[Tensor, slice], ViewT]) -> list[ViewT]:
        """What `look` gives: draw by draw, or for the exact expectation some images at a time."""
        if self._draws is not None:
            return [look(images, slice(None)) for _ in range(self._draws)]
        each = max(1, _ROUTES_AT_ONCE >> self._target.gates)
        return [look(images, slice(first, first + each)) for first in range(0, len(images), each)]

    def _together(self, parts: Sequence[Tensor]) -> Tensor:
        if len(parts) == 1:
            return parts[0]
        return torch.cat(list(parts)) if self._draws is None else torch.stack(list(parts)).mean(0)

    def _slope(self, images: Tensor, part: slice) -> Slope:
        images = images.detach().requires_grad_()
        view = self._view(images, part)
        # The zero is the gradient of a network that cuts the graph.
        (gradient,) = torch.autograd.grad(view.losses.sum() + 0 * images.sum(), [images])
        return Slope(view.losses.detach(), view.probabilities.detach(), gradient[part])

    def _view(self, images: Tensor, part: slice) -> View:
        if self._draws is not None:
            outputs = self._target.outputs(images, self._way, self._generator)
            return View(self._objective(outputs), self._answer(outputs).softmax(1))
        outputs, weights = self._target.every_route(images, part)
        if self._way.kind == "detached":
            weights = weights.detach()
        losses = weights * self._objective(outputs)
        probabilities = weights.unsqueeze(1) * self._answer(outputs).softmax(1)
        routes = 2**self._target.gates
        by_route = probabilities.view(routes, -1, probabilities.shape[1])
        return View(losses.view(routes, -1).sum(0), by_route.sum(0))

    def _counted(self, slope: Slope) -> Slope:
        flat = slope.gradient.flatten(1)
        non_finite = ~torch.isfinite(flat).all(1)
        zero = (flat == 0).all(1)
        self.zero = zero.int() if self.zero is None else self.zero + zero
        self.non_finite = non_finite.int() if self.non_finite is None else self.non_finite + non_finite
        if not bool(non_finite.any()):
            return slope
        gradient = torch.where(non_finite.view(-1, 1, 1, 1), torch.zeros(()), slope.gradient)
        return Slope(slope.losses, slope.probabilities, gradient)
