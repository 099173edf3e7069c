"""Beside what?  All attacks together, the network without its defence, and what else would defend it."""

from __future__ import annotations

from dataclasses import replace

from bench.robustness.checklist.base import Outcome, mean_within, missing, outdone
from bench.robustness.checklist.controls import transfers
from bench.robustness.checklist.randomness import averages, gradient_paths, longer_run
from bench.robustness.checklist.saving import savings
from bench.robustness.defence import Defence
from bench.robustness.laboratory import Laboratory, Variation
from bench.robustness.score import worst_for_each

_WORST_CASE_POINTS = 0.05
_EFFECTIVE = 0.5


def worst_case(lab: Laboratory) -> Outcome:
    """Each image under the attack that is worst for it."""
    reference = lab.under()
    every = [lab.under(attack, by=by) for attack, by in _attacks(lab)]
    answers = worst_for_each([each.answers for each in every], lab.labels)
    worst = (answers == lab.labels).mean(0)
    figure = f"worst of {len(every)} attacks for each image {worst.mean():.1%}, reference {reference.accuracy:.1%}"
    return Outcome(mean_within(reference.right - worst, _WORST_CASE_POINTS), figure)


def undefended(lab: Laboratory) -> Outcome:
    """The same attack must break a network that nothing defends, or it shows nothing."""
    other = lab.undefended or (lab.defence.full() if lab.draws_gates else None)
    if other is None:
        return missing("name an undefended network with --undefended")
    clean, attacked = lab.clean(other), lab.under(lab.against(other), on=other)
    figure = f"undefended {clean.accuracy:.1%}, attacked {attacked.accuracy:.1%}; defended {lab.under().accuracy:.1%}"
    return Outcome(mean_within(attacked.right - _EFFECTIVE * clean.right, 0.0), figure)


def adversarially_trained(lab: Laboratory) -> Outcome:
    if lab.trained is None:
        return missing("name an adversarially trained network with --trained")
    other, defended = lab.under(lab.against(lab.trained), on=lab.trained), lab.under()
    figure = f"adversarially trained {other.accuracy:.1%}, defended {defended.accuracy:.1%}"
    return outdone([defended.right], other.right, figure)


def _attacks(lab: Laboratory) -> list[tuple[Variation, Defence]]:
    """What the other items ran at this radius too, so that it costs nothing here, and on which network."""
    own: list[Variation] = [
        lab.attack,
        lab.one_step,
        lab.noise,
        replace(lab.attack, steps=2 * lab.attack.steps),
        *lab.losses.values(),
        *averages(lab).values(),
        *gradient_paths(lab).values(),
        *(saving.opposite for saving in savings(lab)),
    ]
    if lab.attack.norm == "linf":
        own.append(lab.square)
    if lab.defence.claims_randomness:
        own.append(longer_run(lab))
    # Some are the same.
    return list(dict.fromkeys([*((attack, lab.defence) for attack in own), *transfers(lab).values()]))
