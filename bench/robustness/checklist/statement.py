"""What a report must state: the attack, clean accuracy, and how the frozen examples were scored."""

from __future__ import annotations

from bench.attacks.pgd import PGD
from bench.attacks.white_box import step_size
from bench.robustness.checklist.base import Outcome, judged
from bench.robustness.laboratory import Laboratory, name_of
from bench.robustness.score import scored

_FEWEST_CLEAN_DRAWS = 10
_FEWEST_DRAWS = 20


def attack_stated(lab: Laboratory) -> Outcome:
    attack = lab.attack
    spent = int(lab.made().gradients.max())
    length = f"of {step_size(attack.step, attack.eps):.4f}" if isinstance(attack, PGD) else "that shorten themselves"
    figure = (
        f"{name_of(attack)}, {attack.norm} {attack.eps}, {attack.steps} steps {length}, {attack.restarts} starts, "
        f"eot {attack.eot}, loss {attack.loss}, output {attack.output}, {spent} gradients an image"
    )
    return judged(spent > 0, figure)


def clean_accuracy(lab: Laboratory) -> Outcome:
    clean = lab.clean()
    by_draw = (clean.answers == clean.labels).mean(1)
    full = lab.clean(lab.defence.full()).accuracy
    enough = len(by_draw) >= _FEWEST_CLEAN_DRAWS
    figure = f"{by_draw.mean():.1%} +- {by_draw.std():.1%} over {len(by_draw)} draws, full network {full:.1%}"
    if lab.commonest == 1.0:
        # Whoever always says the one label there is would be as right.
        return Outcome("unclear", f"{figure}, and all images have one label")
    return judged(enough and by_draw.mean() > lab.commonest, figure)


def fresh_draws(lab: Laboratory) -> Outcome:
    score = scored(lab.under().answers, lab.labels)
    figure = (
        f"{score.mean.value:.1%} over {score.draws} fresh draws, {score.worst.value:.1%} in the worst, "
        f"{score.majority.value:.1%} by majority"
    )
    return judged(score.draws >= _FEWEST_DRAWS, figure)
