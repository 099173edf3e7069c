"""Attacks on the gates themselves: the policy should keep every block, or drop blocks and be wrong.

In a ball (`Depth`), or with the distance paid for (`PenalisedDepth`), as published: GradAuto (Pan et al. 2022) removes
what closes gates that are open, GradMDM (Pan et al. 2023) has the power loss, and ILFO (Haque et al. 2020) pushes gates
until they open and no further, the hinge.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from bench.attacks.aimed import Aimed
from bench.attacks.ball import euclidean
from bench.attacks.base import Attack, Crafted
from bench.attacks.every_path import trunk
from bench.attacks.gates import Way
from bench.attacks.gradients import Gradients, Objective
from bench.attacks.losses import cross_entropy
from bench.attacks.penalised import Look, Penalised
from bench.attacks.target import Outputs, Target
from bench.attacks.white_box import check_count
from export.networks.cost import body_shares

GateLoss = Literal["cost", "hinge", "power"]
Conflict = Literal["kept", "removed"]

_OPEN = 0.5
# In normalised pixels, (x - 0.5) / 0.25, a squared distance is sixteen times as long.
_SQUARED_SCALE = 16.0


@dataclass(frozen=True)
class Depth(Aimed):
    """The policy keeps every block, `depth`, or drops blocks and is wrong, `depth:aim=drop`.

    `loss` says what is raised for keeping: the expected cost; the hinge -sum max(0, 1/2 - g), which forgets a gate that
    is open; or the power, the norm of min(g, 1/2) with `exponent`, which pushes those first that are nearly open.
    `conflict=removed` takes out of that gradient what would close gates that are open.  `answer` is what it is worth
    that the scores stay those of the whole network on the clean image.  For dropping, `wrong` is what it is worth to be
    wrong, against the saved share of the cost; hinge and power are for keeping.
    """

    aim: Literal["keep", "drop"] = "keep"
    loss: GateLoss = "cost"
    exponent: float = field(default=3.5, metadata={"help": "of loss=power, above 0", "example": "3.5"})
    conflict: Conflict = "kept"
    answer: float = field(default=0.0, metadata={"help": "worth of the clean scores, from 0 on", "example": "0.01"})
    wrong: float = field(default=1.0, metadata={"help": "worth of a wrong answer, from 0 on", "example": "1"})

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("answer", "wrong"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is a worth from 0 on, not {getattr(self, name):g}; for example {name}=1")
        if not self.exponent > 0:
            raise ValueError(f"exponent is a number above 0, not {self.exponent:g}; for example exponent=3.5")
        if self.aim == "drop" and (self.loss != "cost" or self.conflict == "removed" or self.answer):
            raise ValueError("aim=drop has no loss, conflict and answer to choose: leave them out, or give aim=keep")

    def asked(self, target: Target) -> Target:
        return target if self.aim == "drop" or self.answer else policy_alone(target)

    def objectives(self, target: Target, images: Tensor, labels: Tensor) -> Sequence[Objective]:
        shares = gate_shares(target)
        if self.aim == "drop":
            return (
                lambda outputs: (
                    self.wrong * cross_entropy(outputs.scores[-1], labels[outputs.rows]) - keep_of(outputs) @ shares
                ),
            )
        opening = opened(self.loss, self.exponent, shares)
        first = self._with_answer(opening, target, images) if self.answer else opening
        return (first, stays_open) if self.conflict == "removed" else (first,)

    @property
    def looks(self) -> int:
        return self.steps * (2 if self.conflict == "removed" else 1)

    def direction(self, gradients: Sequence[Tensor]) -> Tensor:
        return gradients[0] if len(gradients) == 1 else without_conflict(*gradients)

    def _with_answer(self, opening: Objective, target: Target, images: Tensor) -> Objective:
        with torch.no_grad():
            clean = target.outputs(images, Way("full"), torch.Generator()).scores[-1]
        return lambda outputs: (
            opening(outputs) - self.answer * ((outputs.scores[-1] - clean[outputs.rows]).square().sum(1))
        )


@dataclass(frozen=True)
class PenalisedDepth(Attack):
    """The policy keeps every block, without a ball: |x' - x|^2 against a loss of the gates.

    A step follows the gradient of the squared distance minus `weight` times the number of pixels times the loss's unit
    gradient.

    `depth-penalised` is GradAuto's released attack, started at the image itself; `depth-penalised:loss=power` has the
    loss of GradMDM, whose own weights (150,000 and 100, on raw gradients) it does not have.  Adam moves every pixel.
    """

    loss: GateLoss = "hinge"
    exponent: float = field(default=3.5, metadata={"help": "of loss=power, above 0", "example": "3.5"})
    conflict: Conflict = "removed"
    weight: float = field(default=1.0, metadata={"help": "worth of open gates against the distance", "example": "1"})
    steps: int = field(default=300, metadata={"help": "steps, 1 to 100000", "example": "300"})
    rate: float = field(default=0.01, metadata={"help": "Adam's rate, above 0", "example": "0.01"})

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        for name in ("exponent", "weight", "rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is a number above 0, not {getattr(self, name):g}; for example {name}=1")

    @property
    def looks(self) -> int:
        return self.steps * (2 if self.conflict == "removed" else 1)

    def craft(self, target: Target, images: Tensor, labels: Tensor, generator: torch.Generator) -> Crafted:
        """Adversarial copies of `images`, whose `labels` it does not look at; see `Attack.craft`."""
        losses = [opened(self.loss, self.exponent, gate_shares(target))]
        if self.conflict == "removed":
            losses.append(stays_open)
        policy = policy_alone(target)
        asked = [Gradients(policy, each, way=Way("full"), draws=1, generator=generator) for each in losses]
        never = torch.zeros(len(images), dtype=torch.bool)
        each_worth = self.weight * images[0].numel()

        def look(current: Tensor, rows: Tensor) -> Look:
            gradients = [each.at(current).gradient for each in asked]
            gradient = gradients[0] if len(gradients) == 1 else without_conflict(*gradients)
            return Look(each_worth * gradient / (euclidean(gradient) + 1e-10), never)

        search = Penalised(self.steps, self.rate, self.steps, "last", "image", _SQUARED_SCALE)
        crafted = search.run(images, torch.zeros_like(images), torch.ones_like(images), look, generator)
        zero, non_finite = asked[0].zero, asked[0].non_finite
        assert zero is not None
        assert non_finite is not None
        return Crafted(crafted, zero, non_finite, sum(each.spent for each in asked))


def policy_alone(target: Target) -> Target:
    """The policy as a target of its own, its keep-probabilities for scores: the network need not run to move it.

    Raises:
        ValueError: the target has none.
    """
    if target.policy is None or not target.gates:
        name = target.name or "the network"
        raise ValueError(f"{name} has no policy that decides about gates: attack its exits with deepsloth or rush")
    return Target(target.policy, name=target.name).watched(target.looked)


def keep_of(outputs: Outputs) -> Tensor:
    """The keep-probabilities (rows, gates), from a whole target or from `policy_alone`."""
    return outputs.scores[-1] if outputs.keep is None else outputs.keep


def gate_shares(target: Target) -> Tensor:
    """What each gate's block is of the cost of all of them, (gates,), summing to 1."""
    policy_alone(target)
    gated = trunk(target.network)
    assert gated is not None
    dtype = next(gated.parameters()).dtype
    # Counting takes a look at an image in single precision.
    shares = body_shares(gated if dtype == torch.float32 else copy.deepcopy(gated).float())
    return (shares / shares.sum()).to(dtype)


def opened(loss: GateLoss, exponent: float, shares: Tensor) -> Objective:
    """What `loss` has to raise, from keep-probabilities."""
    if loss == "cost":
        return lambda outputs: keep_of(outputs) @ shares
    if loss == "hinge":
        return lambda outputs: -(_OPEN - keep_of(outputs)).relu().sum(1)
    return lambda outputs: keep_of(outputs).clamp(max=_OPEN).pow(exponent).sum(1).pow(1 / exponent)


def stays_open(outputs: Outputs) -> Tensor:
    """How far open gates are open, (rows,)."""
    return (keep_of(outputs) - _OPEN).relu().sum(1)


def without_conflict(gradient: Tensor, other: Tensor) -> Tensor:
    """`gradient` (n, 3, h, w), without its part against `other` where it has one (Pan et al. 2022, equation 7)."""
    length = other.square().sum((1, 2, 3), keepdim=True).clamp(min=torch.finfo(other.dtype).tiny)
    along = (gradient * other).sum((1, 2, 3), keepdim=True) / length
    return gradient - along.clamp(max=0.0) * other
