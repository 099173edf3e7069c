"""Did the optimisation work?  Gradients that are missing, and the indicators of attack failure (Pintor et al. 2022)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from bench.attacks.deployed import answers
from bench.attacks.gradients import Gradients
from bench.attacks.losses import margin
from bench.attacks.target import Outputs
from bench.robustness.checklist.base import Outcome, judged
from bench.robustness.laboratory import Laboratory
from bench.robustness.score import scored
from bench.robustness.trace import Trace, traced

_NEIGHBOURHOOD = 8 / 255
_UNSTABLE = 0.1
_SILENT = 0.1
_UNFINISHED = 0.05
_WINDOW = 10
_NOT_CARRIED = 0.1
_NEARLY_ZERO = 0.05


def missing_gradients(lab: Laboratory) -> Outcome:
    made = [lab.under(attack).adversarial for attack in (lab.attack, lab.one_step)]
    parts = [each for each in made if each is not None]
    zero = max(float((each.zero_gradients > 0).mean()) for each in parts)
    broken = max(float((each.non_finite_gradients > 0).mean()) for each in parts)
    return judged(
        zero == 0 and broken == 0, f"images with a zero gradient {zero:.1%}, with one not finite {broken:.1%}"
    )


def indicators(lab: Laboratory) -> Outcome:
    """I2 to I6; I1 is `missing_gradients`."""
    attack = replace(lab.attack, steps=2 * lab.attack.steps)
    trace = traced(attack, lab.defence.target, lab.images, lab.targets, lab.seed)
    # What was fooled needs no more steps.
    open_still = ~trace.fooled[-1]
    unfinished = trace.unfinished(min(_WINDOW, attack.steps // 2))[open_still]
    figures = {
        "I2 unstable": (_instability(lab), _UNSTABLE),
        "I3 silent": (float(trace.silent.float().mean()), _SILENT),
        "I4 unfinished": (float(unfinished.mean()) if len(unfinished) else 0.0, _UNFINISHED),
        "I5 not carried over": (_not_carried_over(lab, trace), _NOT_CARRIED),
        "I6 unbounded fails": (
            scored(lab.under(lab.overwhelming).floats, lab.labels).majority.value,
            max(lab.chance, _NEARLY_ZERO),
        ),
    }
    text = ", ".join(f"{name} {value:.2f}" for name, (value, _) in figures.items())
    raised = [name.split()[0] for name, (value, limit) in figures.items() if value > limit]
    return judged(not raised, text + (f": {' and '.join(raised)} raised" if raised else ""))


def _not_carried_over(lab: Laboratory, trace: Trace) -> float:
    """The share of images that fool the network as the attack sees it, and mostly not the one that is deployed."""
    defence = lab.defence
    given = answers(defence.target, trace.images, lab.draws, way=defence.way, output=defence.output)
    resisted = (given == lab.targets).float().mean(0) > 0.5
    return float((trace.fooled[-1] & resisted).float().mean())


def _instability(lab: Laboratory) -> float:
    """How much random changes move the margin, relative to itself, at most 1 each.

    The margin, since the cross-entropy of a sure answer is near 0 and any change of it a multiple; and each time with
    the same draws, since the question is about the image and not about the dice.
    """
    generator = lab.generator()
    images = lab.images
    there = _margins(lab, images)
    changes = torch.zeros(len(images))
    for _ in range(lab.effort.noise):
        noise = (torch.rand(images.shape, generator=generator) - 0.5) * _NEIGHBOURHOOD
        moved = (_margins(lab, images + noise) - there).abs() / there.abs().clamp(min=1e-12)
        changes += moved.clamp(max=1.0)
    return float((changes / lab.effort.noise).mean())


def _margins(lab: Laboratory, images: Tensor) -> Tensor:
    defence, labels = lab.defence, lab.targets

    def objective(outputs: Outputs) -> Tensor:
        return margin(defence.output.answer(outputs.scores), labels[outputs.rows])

    asked = Gradients(defence.target, objective, way=defence.way, draws=min(lab.eot, 5), generator=lab.generator())
    return asked.ask(images).losses.float()
