"""The grid, then the check list of every model, for as long as the budget lasts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

from bench.robustness.checklist import checked
from bench.robustness.defence import Defence
from bench.robustness.evaluation import CheckedModel, Evaluation
from bench.robustness.grid import Cell, Plan, cells
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
    check_images: int = 40
    check_levels: Fraction = Fraction(8)
    undefended: Defence | None = None
    trained: Defence | None = None


def evaluate(request: Request, kept: Kept) -> Evaluation:
    """All of it, or what there is time for.

    Half of the time is the grid's, and the check lists share the rest alike; what they leave is the grid's again.

    Raises:
        ValueError: an attack names what a network does not have, or a kept file is damaged.
    """
    plan, found = request.plan, list[Cell]()
    _fill(found, request, kept if request.effort is None else kept.until(_after(kept, 1 / 2)))
    checks = []
    if request.effort is not None:
        for index, defence in enumerate(request.defences):
            own = kept.until(_after(kept, 1 / (len(request.defences) - index)))
            checks.append(_checked(request, defence, own))
        _fill(found, request, kept)
    return Evaluation(
        source=request.source,
        images=len(plan.frames),
        draws=plan.draws,
        seed=plan.seed,
        cells=tuple(found),
        cells_planned=len(request.defences) * plan.cells,
        checks=tuple(checks),
    )


def _after(kept: Kept, share: float) -> float | None:
    """The moment at which so much of the time left will have gone, or None if there is no end."""
    if kept.deadline_s is None:
        return None
    now = kept.clock()
    return now + share * (kept.deadline_s - now)


def _fill(found: list[Cell], request: Request, kept: Kept) -> None:
    """Add the cells that are not found yet, in turn, until the time is over."""
    with suppress(OutOfTime):
        for cell in islice(cells(request.plan, request.defences, kept), len(found), None):
            found.append(cell)  # noqa: PERF402 (those that came before the time was over count)


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
        reference_attack(attack, eps, defence.output),
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
