"""The ways through gates that an attack can differentiate, and how it averages over their randomness."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from export.training.gumbel import straight_through_gates

RANDOM_WAYS = ("straight-through", "soft", "detached")
FIXED_WAYS = ("full", "mean", "likeliest")
_MOST_DRAWS = 10_000
# That of training; the gradient of a harder relaxation is noisier.
_TEMPERATURE = 1.0


@dataclass(frozen=True, slots=True)
class Way:
    """One way through the gates.

    Drawn anew for every gradient: "straight-through" (0 or 1, with the gradient of the relaxation), "soft" (the
    relaxation itself), "detached" (0 or 1, and the policy is taken as constant).  The same each time: "full" (all
    kept), "mean" (a gate is as open as it is probable), "likeliest" (open from one half on), "route" (the given one).
    """

    kind: Literal["straight-through", "soft", "detached", "full", "mean", "likeliest", "route"]
    route: str = ""

    @property
    def is_random(self) -> bool:
        return self.kind in RANDOM_WAYS

    @property
    def asks_policy(self) -> bool:
        return self.kind not in ("full", "route")

    def gates(self, keep: Tensor, generator: torch.Generator) -> Tensor | None:
        """Gates for keep-probabilities (n, gates): bool where bodies can be skipped, real to differentiate, or None
        where all are kept."""
        if self.kind == "straight-through":
            return straight_through_gates(keep, _TEMPERATURE, generator)
        if self.kind == "soft":
            noise = torch.rand(keep.shape, dtype=keep.dtype, generator=generator).clamp(1e-6, 1 - 1e-6).logit()
            return torch.sigmoid((keep.logit() + noise) / _TEMPERATURE)
        if self.kind == "detached":
            return torch.rand(keep.shape, dtype=keep.dtype, generator=generator) < keep
        if self.kind == "mean":
            return keep
        if self.kind == "likeliest":
            return keep >= 0.5
        if self.kind == "route":
            return torch.tensor([bit == "1" for bit in self.route]).expand(len(keep), -1)
        return None


def parse_way(text: str) -> Way:
    """A way as specs write it: `straight-through`, `route:10110111`.

    Raises:
        ValueError: it is none.
    """
    if text in RANDOM_WAYS + FIXED_WAYS:
        return Way(text)  # type: ignore[arg-type]
    if re.fullmatch(r"route:[01]+", text):
        return Way("route", text.removeprefix("route:"))
    raise ValueError(
        f"gates is {', '.join(RANDOM_WAYS + FIXED_WAYS)} or route:BITS, not {text!r}; for example "
        "gates=straight-through or gates=route:10110111"
    )


def parse_draws(text: str) -> int | None:
    """How many draws a gradient is averaged over, or None for the exact expectation over all routes.

    Raises:
        ValueError: it is neither a whole number from 1 to 10000 nor `exact`.
    """
    if text == "exact":
        return None
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= _MOST_DRAWS:
        raise ValueError(f"eot is a whole number from 1 to {_MOST_DRAWS} or exact, not {text!r}; for example eot=20")
    return int(text)
