"""What an attack sees of a defence: everything, but for the draw that will decide a frame."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.attacks.every_path import scores_of_every_route, scores_under, trunk
from bench.attacks.gates import Way
from bench.attacks.journal import Journal
from export.networks.every_route import route_probabilities, routes


def _unwatched() -> None:
    """What a target tells nobody."""


# 256 routes are few, and 4096 take minutes an image.
_MOST_GATES = 12


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the networks say of a batch of n images, once or route by route; everything is differentiable.

    `images` (n, 3, h, w) are the images themselves.  `scores` are (rows, classes) for every exit, first to last; row r
    belongs to image `rows[r]`, and not every image need have one.  `keep` are the policy's keep-probabilities and
    `gates` the gates that were used, both (rows, gates), or None where there are none.
    """

    images: Tensor
    rows: Tensor
    scores: tuple[Tensor, ...]
    keep: Tensor | None = None
    gates: Tensor | None = None


class Target:
    """The white-box view of a network: its outputs for images in [0, 1] under draws that the attack makes itself.

    `network` is a `GatedResNet`, an `EarlyExitNetwork`, or any module from images to scores (n, classes) or a list of
    them; `policy` gives keep-probabilities (n, gates).  Both are used as they are: in eval mode, to attack what is
    deployed.  `name` says in records what was attacked.  A network that `is_noisy` is meant to draw something itself,
    besides its gates: it is asked as often as one that draws these.
    """

    def __init__(
        self, network: nn.Module, policy: nn.Module | None = None, name: str = "", *, is_noisy: bool = False
    ) -> None:
        self.network, self.policy, self.name, self.is_noisy = network, policy, name, is_noisy
        gated = trunk(network)
        self.gates = 0 if gated is None else gated.gates
        self.looked: Callable[[], None] = _unwatched
        self.journal = Journal()

    def watched(self, looked: Callable[[], None], journal: Journal | None = None) -> Target:
        """The same target; `looked` is called after every gradient and every query that is taken of it, and what works
        on a batch for long leaves its steps in `journal`, and goes on from what it finds there."""
        watched = copy.copy(self)
        watched.looked = looked
        watched.journal = journal or self.journal
        return watched

    def is_random(self, way: Way) -> bool:
        """Whether two looks on this way can differ."""
        return self.is_noisy or self.draws_gates(way)

    def draws_gates(self, way: Way) -> bool:
        """Whether gates are drawn on this way; a network without gates never draws any."""
        return way.is_random and self.policy is not None and self.gates > 0

    def keep(self, images: Tensor) -> Tensor:
        """The policy's keep-probabilities, (n, gates).

        Raises:
            ValueError: the network has no policy.
        """
        if self.policy is None:
            raise ValueError("the network has no decision network: attack it with gates=full or gates=route:BITS")
        keep: Tensor = self.policy(images)
        return keep

    def outputs(self, images: Tensor, way: Way, generator: torch.Generator, draws: int = 1) -> Outputs:
        """So many draws for every image: the first of each, then the second of each, ...

        A network without gates, or without a policy, has one way only: all kept, unless a route is given.

        Raises:
            ValueError: the route does not have the network's number of gates.
        """
        if way.kind == "route" and len(way.route) != self.gates:
            raise ValueError(
                f"gates=route:{way.route} has {len(way.route)} bits and the network {self.gates} gates: give one each"
            )
        rows = torch.arange(len(images)).repeat(draws)
        keep = None if self.policy is None or not self.gates else self.keep(images)
        if keep is None and way.kind != "route":
            return Outputs(images, rows, tuple(scores.repeat(draws, 1) for scores in self._scores(images)))
        keep = keep if keep is None else keep.repeat(draws, 1)
        gates = way.gates(keep if keep is not None else images.new_ones(len(images), self.gates), generator)
        scores = self._scores(images) if gates is None else tuple(scores_under(self.network, images, gates))
        return Outputs(images, rows, scores, keep, gates)

    def every_route(self, images: Tensor, part: slice = slice(None)) -> tuple[Outputs, Tensor]:
        """Outputs of all 2**gates routes of the images in `part`, route by route, and the rows' probabilities (rows,).

        Raises:
            ValueError: the network has more than 12 gates.
        """
        if self.gates > _MOST_GATES:
            raise ValueError(
                f"eot=exact cannot go through the 2**{self.gates} routes of this network: average draws instead, for "
                "example eot=20"
            )
        looked_at, numbers = images[part], torch.arange(len(images))[part]
        keep = self.keep(looked_at)
        count, probabilities = 2**self.gates, route_probabilities(keep).T.flatten()
        gates = routes(self.gates).repeat_interleave(len(looked_at), 0)
        scores = tuple(scores_of_every_route(self.network, looked_at))
        return Outputs(images, numbers.repeat(count), scores, keep.repeat(count, 1), gates), probabilities

    def _scores(self, images: Tensor) -> tuple[Tensor, ...]:
        scores = self.network(images)
        return (scores,) if isinstance(scores, Tensor) else tuple(scores)
