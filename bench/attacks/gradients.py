"""Gradients of an attack's objective, averaged over the defence's randomness."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
# Images times draws: a small batch alone leaves a processor idle between operations, and a policy answers once for all.
_ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class View:
    """The objective at a batch of images, `losses` (n,), means over the randomness; and the answers behind them:
    `scores` (looks, n, classes), of draws, or of routes that have `weights` (looks, n)."""

    losses: Tensor
    scores: Tensor
    weights: Tensor | None

    @property
    def probabilities(self) -> Tensor:
        """Those of the answer, (n, classes), means over the randomness; worked out where they are read."""
        shares = self.scores.softmax(2)
        return shares.mean(0) if self.weights is None else (self.weights.unsqueeze(2) * shares).sum(0)

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

    def counts(self) -> dict[str, Tensor]:
        """What was spent so far, and how often something was wrong; see `set_counts`."""
        wrong = {"zero": self.zero, "non_finite": self.non_finite}
        spent = {"spent": torch.tensor(self.spent), "queries": torch.tensor(self.queries)}
        return {**spent, **{name: count for name, count in wrong.items() if count is not None}}

    def set_counts(self, counts: Mapping[str, Tensor]) -> None:
        """Go on counting from what `counts` gave at another time."""
        self.spent, self.queries = int(counts["spent"]), int(counts["queries"])
        self.zero, self.non_finite = counts.get("zero"), counts.get("non_finite")

    @property
    def is_noisy(self) -> bool:
        """Whether two looks at the same images can differ."""
        return self._draws is not None and self._target.is_random(self._way)

    def at(self, images: Tensor) -> Slope:
        """The mean slope at `images`, (n, 3, h, w) in [0, 1]."""
        images = images.detach().requires_grad_()
        views, gradient = [], None
        for view in self._views(images):
            if view.losses.requires_grad:
                (part,) = torch.autograd.grad(view.losses.sum(), [images], allow_unused=True)
                gradient = gradient if part is None else part if gradient is None else gradient + part
            weights = None if view.weights is None else view.weights.detach()
            views.append(View(view.losses.detach(), view.scores.detach(), weights))
        self.spent += self._each
        self._target.looked()
        view = self._together(views)
        # A network that cuts the graph has none.
        gradient = torch.zeros_like(images) if gradient is None else gradient
        return Slope(view.losses, view.scores, view.weights, self._counted(gradient))

    @torch.no_grad()
    def ask(self, images: Tensor) -> View:
        """The mean view of `images`, (n, 3, h, w) in [0, 1]: the forward passes alone."""
        view = self._together(list(self._views(images)))
        self.queries += self._each
        self._target.looked()
        return view

    def _views(self, images: Tensor) -> Iterator[View]:
        """Of some draws at a time, whose losses add up to the mean; of all routes, of some images at a time."""
        if self._draws is None:
            each = max(1, _ROUTES_AT_ONCE >> self._target.gates)
            for first in range(0, len(images), each):
                yield self._of_every_route(images, slice(first, first + each))
            return
        # What a network draws by itself it may draw once for a whole pass.
        each = 1 if self._target.is_noisy else max(1, _ROWS_AT_ONCE // len(images))
        for first in range(0, self._draws, each):
            yield self._of_draws(images, min(each, self._draws - first), self._draws)

    def _together(self, views: Sequence[View]) -> View:
        if len(views) == 1:
            return views[0]
        losses, scores = [view.losses for view in views], [view.scores for view in views]
        if self._draws is None:
            weights = [view.weights for view in views if view.weights is not None]
            return View(torch.cat(losses), torch.cat(scores, 1), torch.cat(weights, 1))
        return View(torch.stack(losses).sum(0), torch.cat(scores), None)

    def _of_draws(self, images: Tensor, draws: int, of: int) -> View:
        outputs = self._target.outputs(images, self._way, self._generator, draws)
        losses = self._objective(outputs).view(draws, -1).sum(0) / of
        scores = self._answer(outputs)
        return View(losses, scores.view(draws, -1, scores.shape[1]), None)

    def _of_every_route(self, images: Tensor, part: slice) -> View:
        outputs, weights = self._target.every_route(images, part)
        if self._way.kind == "detached":
            weights = weights.detach()
        routes, scores = 2**self._target.gates, self._answer(outputs)
        losses = (weights * self._objective(outputs)).view(routes, -1).sum(0)
        return View(losses, scores.view(routes, -1, scores.shape[1]), weights.view(routes, -1))

    def _counted(self, gradient: Tensor) -> Tensor:
        # One pass: the largest value is 0 where all are, and not finite where any is.
        largest = torch.linalg.vector_norm(gradient, torch.inf, dim=(1, 2, 3))
        zero, non_finite = largest == 0, ~torch.isfinite(largest)
        self.zero = zero.int() if self.zero is None else self.zero + zero
        self.non_finite = non_finite.int() if self.non_finite is None else self.non_finite + non_finite
        if not bool(non_finite.any()):
            return gradient
        return torch.where(non_finite.view(-1, 1, 1, 1), torch.zeros(()), gradient)
