"""Is the attack at the end of its strength?  Controls that must be weaker, and efforts that must add nothing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from bench.attacks.pgd import PGD
from bench.robustness.checklist.base import (
    NEARLY_ZERO,
    Outcome,
    Verdict,
    mean_within,
    missing,
    outdone,
    share_within,
    together,
    weaker,
)
from bench.robustness.defence import Defence
from bench.robustness.kept import Attacked
from bench.robustness.laboratory import Laboratory, Reference, Rights, name_of
from bench.robustness.radius import LEVELS

# One step hardly harms with less than this share of the harm of many, which break with this share of what was right.
_HARDLY = 0.1
_BROKEN = 0.5


def transferred(lab: Laboratory) -> Outcome:
    """Examples of a network without the defence must not do more than those made against it."""
    others = {name: lab.under(attack, by=by) for name, (attack, by) in transfers(lab).items()}
    return _weaker(lab, others) if others else missing("there is nothing to transfer from: name an undefended network")


def transfers(lab: Laboratory) -> dict[str, tuple[Reference, Defence]]:
    """By name, the attack and the network that it is crafted on."""
    found: dict[str, tuple[Reference, Defence]] = {}
    if lab.draws_gates:
        for way, name in (("full", "full network"), ("likeliest", "likeliest route")):
            found[name] = replace(lab.attack, gates=way), lab.defence
    if lab.undefended is not None:
        found["undefended"] = lab.against(lab.undefended), lab.undefended
    return found


def other_losses(lab: Laboratory) -> Outcome:
    """A loss that is blind to the scale of the scores sees where cross-entropy has gone flat, and steps that shorten
    themselves get on where those of one length jump to and fro."""
    return _weaker(lab, {name: lab.under(attack) for name, attack in lab.losses.items()})


def score_based(lab: Laboratory) -> Outcome:
    if lab.attack.norm != "linf":
        return missing("square attacks in linf only")
    return _weaker(lab, {f"square-{lab.square.queries}": lab.under(lab.square)})


def random_noise(lab: Laboratory) -> Outcome:
    return _weaker(lab, {f"best of {lab.noise.tries} random changes": lab.under(lab.noise)})


def one_step(lab: Laboratory) -> Outcome:
    """One step must be weaker than many; and where many break what one hardly harms, it is that one step only that is
    resisted.  On an ordinary network one step does much of what many do."""
    single, many, clean = lab.under(lab.one_step), lab.under(), lab.clean()
    figure = f"fgsm {single.accuracy:.1%}, {name_of(lab.attack)} {many.accuracy:.1%}"
    missed = _HARDLY * (clean.right - many.right) - (clean.right - single.right)
    only_one: Verdict = "pass"
    if many.accuracy <= _BROKEN * clean.accuracy and missed.mean() > 0:
        only_one = mean_within(missed, 0.0)
        figure += ": it resists one step only"
    return outdone([single.right], many.right, figure, but=only_one)


def monotone(lab: Laboratory) -> Outcome:
    radii = sorted({each / LEVELS for each in lab.levels if each > 0} | {lab.attack.eps})
    curve: dict[Fraction, Rights] = {Fraction(0): lab.clean().right}
    curve.update((eps, lab.under(_at(lab, eps)).right) for eps in radii)
    farthest = lab.under(lab.overwhelming)
    figure = ", ".join(f"{float(eps * LEVELS):g}: {right.mean():.1%}" for eps, right in curve.items())
    figure += f", any change: {farthest.accuracy:.1%}"
    falls = [weaker(curve[near], curve[far]) for near in curve for far in curve if near < far]
    return Outcome(together([share_within(farthest.right, max(NEARLY_ZERO, lab.chance)), *falls]), figure)


def more_steps(lab: Laboratory) -> Outcome:
    steps = 2 * lab.attack.steps
    return _weaker(lab, {f"{steps} steps": lab.under(replace(lab.attack, steps=steps))})


def _at(lab: Laboratory, eps: Fraction) -> Reference:
    attack = lab.attack
    if isinstance(attack, PGD) and attack.step is not None:
        # A step that was given for the radius judged would not reach across a larger one.
        return replace(attack, eps=eps, step=attack.step * eps / attack.eps)
    return replace(attack, eps=eps)


def _weaker(lab: Laboratory, others: dict[str, Attacked]) -> Outcome:
    """Pass if none of the others does more harm than the reference."""
    reference = lab.under()
    figure = ", ".join(f"{name} {attacked.accuracy:.1%}" for name, attacked in others.items())
    rivals = (attacked.right for attacked in others.values())
    return outdone(rivals, reference.right, f"{figure}, reference {reference.accuracy:.1%}")
