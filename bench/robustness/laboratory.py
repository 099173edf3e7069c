"""Where the check list tries a defence: a few images, one reference attack, and its variations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.attacks.apgd import APGD
from bench.attacks.deepsloth import DeepSloth
from bench.attacks.depth import Depth
from bench.attacks.fgsm import FGSM
from bench.attacks.losses import LossName
from bench.attacks.output import Output
from bench.attacks.pgd import PGD
from bench.attacks.rush import Rush
from bench.attacks.square import Square
from bench.attacks.white_box import WhiteBox
from bench.crafting import Adversarial, Order
from bench.robustness.defence import Defence
from bench.robustness.kept import Attacked, Figures, Kept
from bench.robustness.noise import Noise
from bench.robustness.radius import LEVELS
from bench.spec import format_spec

# Of each image, the share of draws in which it was answered rightly, (n,).
Rights: TypeAlias = NDArray[np.float64]

# What the others are compared with, and the attacks that the items compare.
Reference: TypeAlias = PGD | APGD
Variation: TypeAlias = Reference | FGSM | Square | Noise | Depth | DeepSloth | Rush

Climb = TypeVar("Climb", PGD, APGD)

# Two accuracies count as different from here on, if sampling does not explain it.
POINTS = 0.02
_STANDARD_ERRORS = 3
_ROUTES_TO_ENUMERATE = 8


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a check list spends: draws of random changes, queries of Square, and the draws per gradient at which
    the curve is taken; `exact` adds the expectation over all routes."""

    noise: int = 100
    queries: int = 200
    curve: tuple[int, ...] = (1, 5, 10, 20)
    exact: bool = True


FULL, QUICK = Effort(), Effort(noise=10, queries=20, curve=(1, 2), exact=False)


@dataclass(frozen=True)
class Laboratory:
    """A `defence`, 8-bit `frames` (n, 3, h, w) with `labels` (n,), and the reference `attack` at the radius judged.

    `levels` are the radii of the curve, of 255.  `undefended` and `trained` (adversarially, at the same radius) are
    what it is compared with, where there is such a network.
    """

    defence: Defence
    frames: NDArray[np.uint8]
    labels: NDArray[np.int64]
    attack: Reference
    kept: Kept
    levels: Sequence[Fraction] = ()
    undefended: Defence | None = None
    trained: Defence | None = None
    effort: Effort = FULL
    draws: int = 20
    seed: int = 0
    batch: int = 16

    def under(
        self, attack: Variation | None = None, *, on: Defence | None = None, by: Defence | None = None
    ) -> Attacked:
        """What `on` (the defence) answers to images crafted on `by` (the same) with `attack` (the reference)."""
        on = on or self.defence
        return self.kept.attacked(self._order(attack or self.attack, by or on), on, self.draws)

    def made(self, attack: Variation | None = None) -> Adversarial:
        """What `attack` (the reference) makes of the images, on the defence."""
        return self.kept.made(self._order(attack or self.attack, self.defence))

    def measured(self, what: str, attack: Variation, measure: Callable[[slice], Figures]) -> Figures:
        """Figures (figures, n) of images that `measure` gives for some rows at a time, under the name `what`, kept
        like images that `attack` has made of the defence."""
        order, defence = self._order(attack, self.defence), self.defence
        claim = [what, order.claim(), repr(defence.way), repr(defence.output), self.draws, repr(self.effort)]
        parts = [
            self.kept.remembered([*claim, index], partial(measure, order.rows(index))) for index in range(order.batches)
        ]
        return np.concatenate(parts, axis=1)

    def clean(self, on: Defence | None = None) -> Attacked:
        """What `on` (the defence) answers to the clean images."""
        return self.kept.clean(self.frames, self.labels, on or self.defence, self.draws)

    @property
    def images(self) -> Tensor:
        """The clean images, (n, 3, h, w) in [0, 1]."""
        return torch.from_numpy(self.frames).float() / 255.0

    @property
    def targets(self) -> Tensor:
        """The labels, (n,)."""
        return torch.from_numpy(self.labels)

    @property
    def draws_gates(self) -> bool:
        """Whether the deployed controller draws gates, so that the ways through them matter."""
        return self.defence.draws_gates

    @property
    def exits(self) -> int:
        """How many exits the network has."""
        return len(self._scores)

    @property
    def stops_early(self) -> bool:
        """Whether an image may leave before the last exit."""
        return self.exits > 1 and self.defence.output.kind == "taken"

    def against(self, other: Defence) -> Reference:
        """The reference attack, adapted to another network: its own output, and gates if it draws them."""
        gates = self.attack.gates if other.draws_gates else "full"
        return replace(self.attack, gates=gates, output=other.output.spec)

    @property
    def enumerable(self) -> bool:
        """Whether the expectation over all routes is worth its price."""
        return self.effort.exact and self.draws_gates and self.defence.target.gates <= _ROUTES_TO_ENUMERATE

    @property
    def eot(self) -> int:
        """Draws per gradient of the reference attack; routes, for the exact expectation."""
        return 2**self.defence.target.gates if self.attack.eot == "exact" else int(self.attack.eot)

    @property
    def pgd(self) -> PGD:
        """PGD with the options of the reference, which it may be itself."""
        return _as(PGD, self.attack)

    @property
    def losses(self) -> dict[str, Reference]:
        """Both ways of climbing with both losses, by name, otherwise as the reference."""
        losses: tuple[LossName, ...] = ("ce", "dlr")
        kinds: tuple[Reference, ...] = (self.pgd, _as(APGD, self.attack))
        return {f"{name_of(each)}-{loss}": replace(each, loss=loss) for each in kinds for loss in losses}

    @property
    def one_step(self) -> FGSM:
        return FGSM(**self._shared())

    @property
    def noise(self) -> Noise:
        return Noise(**{**self._shared(), "eot": "1"}, tries=self.effort.noise)

    @property
    def square(self) -> Square:
        options = {**self._shared(), "eot": str(min(self.eot, 5)), "loss": "margin"}
        options["gates"] = "detached" if self.draws_gates else self.attack.gates
        return Square(**options, queries=self.effort.queries)

    @property
    def overwhelming(self) -> PGD:
        """PGD with the options of the reference, at a radius that leads from any image to a plain grey one,
        which nobody can classify."""
        _, channels, height, width = self.frames.shape
        radius = Fraction(128, LEVELS)
        if self.attack.norm == "l2":
            radius *= int((channels * height * width) ** 0.5) + 1
        return replace(self.pgd, eps=radius, step=None, steps=max(self.attack.steps, 10))

    @property
    def chance(self) -> float:
        """The accuracy of answering by lot: what an attack that may change anything must not leave more than.

        Not that of the commonest label, which among few images may be any share.
        """
        return 1 / self._scores[-1].shape[1]

    @property
    def commonest(self) -> float:
        """The accuracy of the best answer that is always the same, at least `chance`: what a network must exceed."""
        return max(self.chance, float(np.bincount(self.labels).max() / len(self.labels)))

    def generator(self) -> torch.Generator:
        """The attacks' own, from its beginning."""
        return torch.Generator().manual_seed(self.seed)

    def _order(self, attack: Variation, by: Defence) -> Order:
        spec = format_spec(name_of(attack), attack)
        return Order(attack, spec, by.target, by.digest, self.frames, self.labels, seed=self.seed, batch=self.batch)

    @cached_property
    def _scores(self) -> tuple[Tensor, ...]:
        """What every exit says of the first image, (1, classes) each."""
        with torch.no_grad():
            return self.defence.target.outputs(self.images[:1], self.defence.way, self.generator()).scores

    def _shared(self) -> dict[str, Any]:
        return {field.name: getattr(self.attack, field.name) for field in fields(WhiteBox)}


_NAMES: Mapping[type, str] = MappingProxyType(
    {
        PGD: "pgd",
        APGD: "apgd",
        FGSM: "fgsm",
        Square: "square",
        Noise: "noise",
        Depth: "depth",
        DeepSloth: "deepsloth",
        Rush: "rush",
    }
)


def name_of(attack: Variation) -> str:
    """The name of an attack, as specs write it."""
    return _NAMES[type(attack)]


def reference_attack(attack: object, eps: Fraction, output: Output) -> Reference:
    """The attack itself at radius `eps` if it is PGD or APGD, else PGD with the options that it shares with it; where
    it shares none, with 20 draws a gradient, against `output`."""
    if isinstance(attack, PGD | APGD):
        return replace(attack, eps=eps)
    if not isinstance(attack, WhiteBox) or isinstance(attack, Square):
        return PGD(eps, eot="20", output=output.spec)
    return replace(_as(PGD, attack), eps=eps)


def _as(kind: type[Climb], attack: WhiteBox) -> Climb:
    """Another kind of attack with the options that both have."""
    names = {field.name for field in fields(kind)}
    return kind(**{field.name: getattr(attack, field.name) for field in fields(attack) if field.name in names})


def beats(first: Rights, second: Rights) -> bool:
    """Whether accuracy under `first`, image by image, lies below that under `second` by more than 2 points and 3
    standard errors of the difference: a check list makes dozens of comparisons, and none may fail by luck."""
    error = float((second - first).std(ddof=1)) / len(first) ** 0.5 if len(first) > 1 else 0.0
    return _lead(first, second) > max(POINTS, _STANDARD_ERRORS * error)


def may_beat(first: Rights, second: Rights) -> bool:
    """Whether it lies below by more than 2 points, be it by luck."""
    return _lead(first, second) > POINTS


def _lead(first: Rights, second: Rights) -> float:
    return float((second - first).mean())
