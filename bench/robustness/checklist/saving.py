"""What is left of the saving, in gates and in exits, when computation is what is attacked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.attacks.deepsloth import DeepSloth
from bench.attacks.depth import Depth, gate_shares
from bench.attacks.rush import Rush
from bench.robustness.checklist.base import Outcome, Verdict, mean_within, missing, together
from bench.robustness.laboratory import Laboratory, Variation

_SAVING_LOST = 0.5
# Of an exit whose draws of gates differ, the cost is a mean over so many.
_LOOKS = 20


@dataclass(frozen=True, slots=True)
class Saving:
    """One mechanism that saves: the attack that makes images cost most, the `opposite`, which makes them cheap and
    wrong, and what images (n, 3, h, w) cost, (n,) shares of `whole`."""

    attack: Variation
    opposite: Variation
    whole: str
    cost: Callable[[Tensor], NDArray[np.float64]] = field(repr=False)


def savings(lab: Laboratory) -> Iterator[Saving]:
    """Those of the defence: gates that it draws, and exits that an image may take early.

    For gates the aim of ILFO, GradAuto and GradMDM; for exits DeepSloth, and an early exit that is sure and wrong.
    """
    shared = _shared(lab)
    drawn = {**shared, "eot": lab.attack.eot, "gates": lab.attack.gates}
    if lab.draws_gates:
        shares = gate_shares(lab.defence.target)
        yield Saving(
            Depth(**shared),
            Depth(**drawn, aim="drop"),
            "the blocks' cost",
            lambda images: _numbers(lab.defence.target.keep(images) @ shares),
        )
    if lab.stops_early:
        yield Saving(
            # With a quarter of the radius a step, as the others, rather than with its published one.
            DeepSloth(**{"step": None, **drawn}),
            Rush(**drawn, exit=_first_asked(lab)),
            "the cost of all exits",
            lambda images: _exit_costs(lab, images),
        )


def lost_saving(lab: Laboratory) -> Outcome:
    texts, verdicts = list[str](), list[Verdict]()
    for saving in savings(lab):
        clean, attacked, hurried = (
            saving.cost(images)
            for images in (lab.images, *(_images(lab, attack) for attack in (saving.attack, saving.opposite)))
        )
        saved = 1 - clean.mean()
        lost = float((attacked - clean).mean() / saved) if saved > 0 else 0.0
        verdicts.append(mean_within((attacked - clean) - _SAVING_LOST * (1 - clean), 0.0))
        texts.append(
            f"of {saving.whole} {clean.mean():.1%} runs, attacked {attacked.mean():.1%}: {lost:.0%} of the saving "
            f"lost; hurried {hurried.mean():.1%}, and {lab.under(saving.opposite).accuracy:.1%} right"
        )
    if not texts:
        return missing("no gate and no early exit saves anything")
    return Outcome(together(verdicts), "; ".join([*texts, "in ms: edgebench latency --attack"]))


def _images(lab: Laboratory, attack: Variation) -> Tensor:
    return torch.from_numpy(lab.made(attack).images)


def _shared(lab: Laboratory) -> dict[str, Any]:
    """Radius and steps of the reference."""
    names = ("eps", "norm", "steps", "step", "start")
    return {name: getattr(lab.attack, name) for name in names if hasattr(lab.attack, name)}


def _first_asked(lab: Laboratory) -> int:
    """The first exit that may stop an image."""
    limits = lab.defence.output.thresholds
    return next((index for index, limit in enumerate(limits) if np.isfinite(limit)), 0)


@torch.no_grad()
def _exit_costs(lab: Laboratory, images: Tensor) -> NDArray[np.float64]:
    """What the exits taken cost of the whole, (n,); where they are not known, exits lie at equal distances."""
    defence, generator = lab.defence, lab.generator()
    known = defence.exit_shares or tuple((index + 1) / lab.exits for index in range(lab.exits))
    looks = [
        defence.output.taken(defence.target.outputs(images, defence.way, generator).scores).numpy()
        for _ in range(_LOOKS if defence.claims_randomness else 1)
    ]
    costs: NDArray[np.float64] = np.array(known)[np.stack(looks)].mean(0)
    return costs


@torch.no_grad()
def _numbers(values: Tensor) -> NDArray[np.float64]:
    return np.asarray(values.detach().double().numpy())
