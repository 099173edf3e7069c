"""What an attack is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.ball import Ball
from bench.attacks.gates import parse_draws
from bench.attacks.gradients import Gradients
from bench.attacks.target import Target


@dataclass(frozen=True, slots=True)
class Crafted:
    """What an attack made of a batch of n images.

    `images` are (n, 3, h, w) in [0, 1].  `zero_gradients` and `non_finite_gradients`, (n,) int, say how many of an
    image's gradients were zero everywhere or had a value that is not finite.  `gradients` and `queries` are what was
    spent on each image: backward passes through one route, and forward passes without one.
    """

    images: Tensor
    zero_gradients: Tensor
    non_finite_gradients: Tensor
    gradients: int
    queries: int = 0


class Attack(ABC):
    """A dataclass of options, registered in the group `edgebench.attacks`: `pgd:eps=8/255,steps=10`.

    It holds no state: two calls with the same arguments and equal generators give the same bytes.
    """

    @property
    def ball(self) -> Ball | None:
        """Where its images lie, or None if it has no bound."""
        return None

    @property
    def whole(self) -> bool:
        """Whether all images of a stream must be crafted together, since they share a change."""
        return False

    @property
    def looks(self) -> int:
        """How many gradients and queries it takes of a batch, at most; what progress is measured against."""
        return 1

    @property
    def draws(self) -> int | None:
        """How many draws each of these averages over, where the network draws; None for all routes."""
        return parse_draws(getattr(self, "eot", "1"))

    @property
    def surrogates(self) -> tuple[str, ...]:
        """The digests of the networks that its options name, which it looks at instead of the target."""
        return ()

    @abstractmethod
    def craft(self, target: Target, images: Tensor, labels: Tensor, generator: torch.Generator) -> Crafted:
        """Adversarial copies of `images` (n, 3, h, w) in [0, 1] with `labels` (n,); all it draws, it draws from
        `generator`.

        Raises:
            ValueError: the target does not have what the options name (an exit, gates, a policy).
        """

    def craft_along(
        self, target: Target, images: Tensor, labels: Tensor, tracks: Tensor, generator: torch.Generator
    ) -> Crafted:
        """As `craft`, where it is known which images follow each other: `tracks` (n,), below 0 for none.

        It makes a difference only to an attack that changes along a track.
        """
        return self.craft(target, images, labels, generator)


def crafted(images: Tensor, gradients: Gradients) -> Crafted:
    """The result of an attack that took all its gradients from `gradients`."""
    none = torch.zeros(len(images), dtype=torch.int32)
    zero = none if gradients.zero is None else gradients.zero
    non_finite = none if gradients.non_finite is None else gradients.non_finite
    return Crafted(images.detach(), zero, non_finite, gradients.spent, gradients.queries)
