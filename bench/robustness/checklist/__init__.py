"""The check list for defences that answer at random: 22 items, each computed and never ticked by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.robustness.checklist.base import Checked, Item, Outcome
from bench.robustness.checklist.comparison import adversarially_trained, undefended, worst_case
from bench.robustness.checklist.controls import (
    monotone,
    more_steps,
    one_step,
    other_losses,
    random_noise,
    score_based,
    transferred,
)
from bench.robustness.checklist.optimisation import indicators, missing_gradients
from bench.robustness.checklist.randomness import (
    averaging,
    fixed_route,
    gradient_path,
    nondeterminism,
    own_draws,
    steps_or_draws,
)
from bench.robustness.checklist.saving import lost_saving
from bench.robustness.checklist.statement import attack_stated, clean_accuracy, fresh_draws
from bench.robustness.kept import OutOfTime
from bench.robustness.laboratory import Laboratory

_CARLINI = "Carlini et al. 2019"
_ATHALYE = "Athalye et al. 2018"
_CROCE = "Croce & Hein 2020"
_GAO = "Gao et al. 2022"
_PINTOR = "Pintor et al. 2022"
_OURS = "own"

_WEAKER = "not 2 points and 3 standard errors below the reference"

ITEMS = (
    Item(1, "the attack is stated", "it takes gradients", _CARLINI, attack_stated),
    Item(2, "draws are the defence's own", "reseeding the process does not repeat them", _ATHALYE, own_draws),
    Item(3, "as random as it is stated to be", "AutoAttack's flag; 1 bit a route or more", _CROCE, nondeterminism),
    Item(4, "clean accuracy", "10 draws, and above the best constant answer", _CARLINI, clean_accuracy),
    Item(5, "scored on fresh draws", "20 draws or more", _ATHALYE, fresh_draws),
    Item(6, "averaging has levelled off", f"no eot is {_WEAKER[4:]}", _ATHALYE, averaging),
    Item(7, "a fixed route falls", "10% or chance, else no more than --trained", _CARLINI, fixed_route),
    Item(8, "averaging beats more steps", f"more steps are {_WEAKER}", _GAO, steps_or_draws),
    Item(9, "the way of the gradient", f"other ways are {_WEAKER}", _ATHALYE, gradient_path),
    Item(10, "transfer is weaker", f"transfer is {_WEAKER}", _CARLINI, transferred),
    Item(11, "other losses", f"pgd and apgd with ce and dlr are {_WEAKER}", _CROCE, other_losses),
    Item(12, "black box is weaker", f"Square is {_WEAKER}", _CARLINI, score_based),
    Item(13, "random noise is weaker", f"the best noise is {_WEAKER}", _CARLINI, random_noise),
    Item(14, "one step is weaker", f"fgsm is {_WEAKER}, and does a tenth of its harm", _ATHALYE, one_step),
    Item(15, "falls with the radius", "never rises by that much; 10% or chance in the end", _CARLINI, monotone),
    Item(16, "more steps add nothing", f"twice the steps are {_WEAKER}", _CARLINI, more_steps),
    Item(17, "gradients are there", "no image has one that is zero or not finite", _CROCE, missing_gradients),
    Item(18, "indicators of failure", "I2 .1, I3 .1, I4 .05, I5 .1, I6 10% or chance, at most", _PINTOR, indicators),
    Item(19, "the saving under attack", "half of it is left", _OURS, lost_saving),
    Item(20, "worst attack for each image", "within 5 points of the reference", _CARLINI, worst_case),
    Item(21, "the undefended network falls", "to half its accuracy or less", _CARLINI, undefended),
    Item(
        22,
        "adversarial training beside it",
        "the defence is not below it by that much",
        _CARLINI,
        adversarially_trained,
    ),
)


def checked(lab: Laboratory, report: Callable[[Item], None] = lambda item: None) -> Iterator[Checked]:
    """Every item in turn; once the budget is spent, the others are not run.

    Raises:
        ValueError: the reference attack names what the defence does not have.
    """
    late = False
    for item in ITEMS:
        outcome = Outcome("not run", "the budget was spent")
        if not late:
            report(item)
            try:
                lab.kept.check()
                outcome = item.ask(lab)
            except OutOfTime:
                late = True
        yield Checked(item, outcome)
