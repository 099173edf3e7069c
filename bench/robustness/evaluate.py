"""The grid, then the check list of every model, for as long as the budget lasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from bench.robustness.checklist import checked
from bench.robustness.defence import Defence
from bench.robustness.evaluation import CheckedModel, Evaluation
from bench.robustness.grid import Plan, cells
from bench.robustness.kept import Kept, OutOfTime
from bench.robustness.laboratory import FULL, Effort, Laboratory, reference_attack
from bench.robustness.radius import LEVELS, at_radius
from bench.robustness.sample import spread


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: the `plan` for every one of the `defences`, and with an `effort` the check list, on
    `check_images` of the plan's frames spread over its classes, at a radius of `check_levels` of 255."""

    source: str
    plan: Plan
    defences: Sequence[Defence]
    effort: Effort | None = FULL
    check_images: int = 16
    check_levels: Fraction = Fraction(8)
    undefended: Defence | None = None
    trained: Defence | None = None


def evaluate(request: Request, kept: Kept) -> Evaluation:
    """All of it, or what there is time for.

    Raises:
        ValueError: an attack names what a network does not have, or a kept file is damaged.
    """
    plan, found = request.plan, []
    try:
        for cell in cells(plan, request.defences, kept):
            found.append(cell)  # noqa: PERF402 (those that came before the budget was spent count)
    except OutOfTime:
        pass
    checks = () if request.effort is None else [_checked(request, defence, kept) for defence in request.defences]
    return Evaluation(
        source=request.source,
        images=len(plan.frames),
        draws=plan.draws,
        seed=plan.seed,
        cells=tuple(found),
        cells_planned=len(request.defences) * (1 + len(plan.radii) * len(plan.methods)),
        checks=tuple(checks),
    )


def _checked(request: Request, defence: Defence, kept: Kept) -> CheckedModel:
    plan = request.plan
    rows = spread(plan.labels, request.check_images, plan.seed)
    eps = request.check_levels / LEVELS
    attack, _ = at_radius(plan.methods[0], eps, defence.output)
    assert request.effort is not None, "a check list takes an effort"
    lab = Laboratory(
        defence,
        plan.frames[rows],
        plan.labels[rows],
        reference_attack(attack, eps),
        kept,
        plan.radii,
        request.undefended,
        request.trained,
        request.effort,
        plan.draws,
        plan.seed,
        plan.batch,
    )
    return CheckedModel(defence.name, defence.digest, len(lab.labels), request.check_levels, tuple(checked(lab)))
