"""Did the optimisation work?  Gradients that are missing, and the indicators of attack failure (Pintor et al. 2022)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from bench.attacks.deployed import answers
from bench.attacks.gradients import Gradients
from bench.attacks.losses import margin
from bench.attacks.pgd import PGD
from bench.attacks.target import Outputs
from bench.robustness.checklist.base import NEARLY_ZERO, Outcome, judged, mean_within, share_within, together
from bench.robustness.kept import Figures
from bench.robustness.laboratory import Laboratory
from bench.robustness.trace import traced

_NEIGHBOURHOOD = 8 / 255
_UNSTABLE = 0.1
_SILENT = 0.1
_UNFINISHED = 0.05
_WINDOW = 10
_NOT_CARRIED = 0.1


def missing_gradients(lab: Laboratory) -> Outcome:
    made = [lab.made(attack) for attack in (lab.attack, lab.one_step)]
    zero = max(float((each.zero_gradients > 0).mean()) for each in made)
    broken = max(float((each.non_finite_gradients > 0).mean()) for each in made)
    return judged(
        zero == 0 and broken == 0, f"images with a zero gradient {zero:.1%}, with one not finite {broken:.1%}"
    )


def indicators(lab: Laboratory) -> Outcome:
    """I2 to I6; I1 is `missing_gradients`.  All look at PGD with the options of the reference, every step of it."""
    attack = replace(lab.pgd, steps=2 * lab.attack.steps)
    unstable, silent, unfinished, fooled, resisted = lab.measured(
        "indicators", attack, partial(_indicated, lab, attack)
    )
    # What was fooled needs no more steps.
    unfinished = unfinished[fooled == 0]
    unbounded = lab.under(lab.overwhelming).right
    asked = (
        ("I2 unstable", unstable, _UNSTABLE, mean_within),
        ("I3 silent", silent, _SILENT, share_within),
        ("I4 unfinished", unfinished if len(unfinished) else np.zeros(1), _UNFINISHED, mean_within),
        ("I5 not carried over", fooled * resisted, _NOT_CARRIED, share_within),
        ("I6 unbounded fails", unbounded, max(NEARLY_ZERO, lab.chance), share_within),
    )
    verdicts = {name: judge(values, limit) for name, values, limit, judge in asked}
    figure = ", ".join(f"{name} {values.mean():.2f}" for name, values, *_ in asked)
    for verdict, word in (("fail", "raised"), ("unclear", "unclear")):
        named = [name.split()[0] for name, each in verdicts.items() if each == verdict]
        figure += f"; {' and '.join(named)} {word}" if named else ""
    return Outcome(together(verdicts.values()), figure)


def _indicated(lab: Laboratory, attack: PGD, rows: slice) -> Figures:
    """Of these images, (5, rows): how unstable each is; whether it was fooled on the way only, how unfinished it is,
    whether it is fooled in the end, and whether the deployed network mostly resists that."""
    defence, images, labels = lab.defence, lab.images[rows], lab.targets[rows]
    trace = traced(attack, defence.target, images, labels, lab.seed, lab.kept.check)
    given = answers(defence.target, trace.images, lab.draws, way=defence.way, output=defence.output)
    found = (
        _instability(lab, images, labels),
        trace.silent,
        trace.unfinished(min(_WINDOW, attack.steps // 2)),
        trace.fooled[-1],
        (given == labels).float().mean(0) > 0.5,
    )
    return torch.stack([each.double() for each in found]).numpy()


def _instability(lab: Laboratory, images: Tensor, labels: Tensor) -> Tensor:
    """How much random changes move the margin of each image, relative to itself, (n,), at most 1 each.

    The margin, since the cross-entropy of a sure answer is near 0 and any change of it a multiple; and each time with
    the same draws, since the question is about the image and not about the dice.
    """
    generator = lab.generator()
    there = _margins(lab, images, labels)
    changes = torch.zeros(len(images))
    for _ in range(lab.effort.noise):
        lab.kept.check()
        noise = (torch.rand(images.shape, generator=generator) - 0.5) * _NEIGHBOURHOOD
        moved = (_margins(lab, images + noise, labels) - there).abs() / there.abs().clamp(min=1e-12)
        changes += moved.clamp(max=1.0)
    return changes / lab.effort.noise


def _margins(lab: Laboratory, images: Tensor, labels: Tensor) -> Tensor:
    defence = lab.defence

    def objective(outputs: Outputs) -> Tensor:
        return margin(defence.output.answer(outputs.scores), labels[outputs.rows])

    asked = Gradients(defence.target, objective, way=defence.way, draws=min(lab.eot, 5), generator=lab.generator())
    return asked.ask(images).losses.float()
