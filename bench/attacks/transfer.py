"""Transfer: images crafted on another network, and tried on this one."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from bench.attacks.ball import Ball
from bench.attacks.base import Attack, Crafted
from bench.attacks.open_target import open_target
from bench.attacks.target import Target
from bench.registry import PluginError, make
from bench.spec import SpecError
from edge.bundle import Bundle, open_bundle
from edge.models import model_folder


@dataclass(frozen=True)
class Transfer(Attack):
    """Another attack on a surrogate, a shipped model or a bundle's folder: `transfer:resnet18,attack=pgd:eps=8/255`.

    Commas in the other attack's spec are written %2C.
    """

    surrogate: str = field(metadata={"help": "the model to craft on", "example": "resnet18"})
    attack: str = field(
        default="mifgsm", metadata={"help": "an attack, its commas written %2C", "example": "pgd:eps=8/255%2Csteps=20"}
    )

    def __post_init__(self) -> None:
        try:
            make("attacks", self.attack)
        except PluginError as error:
            raise SpecError(f"attack of transfer: {error}") from error

    @property
    def ball(self) -> Ball | None:
        return self._attack.ball

    @property
    def whole(self) -> bool:
        return self._attack.whole

    @property
    def looks(self) -> int:
        return self._attack.looks

    @property
    def draws(self) -> int | None:
        return self._attack.draws

    @property
    def surrogates(self) -> tuple[str, ...]:
        return (self._bundle.digest, *self._attack.surrogates)

    def craft(self, target: Target, images: Tensor, labels: Tensor, generator: torch.Generator) -> Crafted:
        """Adversarial copies of `images`, made without a look at `target`; see `Attack.craft`."""
        return self._attack.craft(self._watched(target), images, labels, generator)

    def craft_along(
        self, target: Target, images: Tensor, labels: Tensor, tracks: Tensor, generator: torch.Generator
    ) -> Crafted:
        return self._attack.craft_along(self._watched(target), images, labels, tracks, generator)

    def _watched(self, target: Target) -> Target:
        """The network that is looked at, with whoever watches the work on `target`."""
        return self._target.watched(target.looked, target.journal)

    @cached_property
    def _attack(self) -> Attack:
        attack, _ = make("attacks", self.attack)
        return attack  # type: ignore[no-any-return]

    @cached_property
    def _target(self) -> Target:
        return open_target(self._bundle)

    @cached_property
    def _bundle(self) -> Bundle:
        return open_bundle(model_folder(self.surrogate))
