"""A study: a table of the paper, cell by cell, and what is said of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.reproduce.findings import Cell, Claim, Findings, NotRun, Reproduction, joined
from bench.reproduce.laboratory import Effort, Laboratory, Missing, OutOfTime
from bench.reproduce.paper import Pair


@dataclass(frozen=True, slots=True)
class Subjects:
    """The networks by name: `models` with exits, and `pairs` of a surrogate and its target."""

    models: tuple[str, ...]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """`cells` in the order of their importance; `claims` judges what they found; `settings` says what was decided where
    the paper is silent; `models` are studied by default."""

    name: str
    title: str
    cells: Callable[[Laboratory, Subjects], list[Cell]]
    claims: Callable[[Findings], Sequence[Claim]]
    settings: Callable[[Effort], Sequence[str]]
    models: tuple[str, ...]


def reproduce(study: Study, laboratory: Laboratory, subjects: Subjects) -> Reproduction:
    """Everything that can be had with the networks at hand before the budget is spent.

    Raises:
        Missing: not one of the networks is there.
        ValueError: see `Laboratory.attacked`.
    """
    results = [(cell.name, _measured(cell)) for cell in study.cells(laboratory, subjects)]
    parts = [result for _, result in results if isinstance(result, Findings)]
    left_out = [(name, result) for name, result in results if not isinstance(result, Findings)]
    if left_out and all(isinstance(result, Missing) for _, result in results):
        raise left_out[0][1]
    not_run = tuple(NotRun(name, str(reason)) for name, reason in left_out)
    found = joined(parts)
    settings = tuple(study.settings(laboratory.effort))
    return Reproduction(study.name, study.title, settings, found, tuple(study.claims(found)), not_run)


def _measured(cell: Cell) -> Findings | Missing | OutOfTime:
    try:
        return cell.measure()
    # Later cells may lie in the work folder from an earlier run, and are shown then.
    except (Missing, OutOfTime) as reason:
        return reason


def ball_settings(effort: Effort) -> list[str]:
    """What every study with attacks in a ball decides."""
    return [
        f"radius {effort.eps} of the range of pixels: the paper gives none, and its 23.2 dB are about this radius",
        f"PGD and MI-FGSM with {effort.steps} steps, scored as floats; {effort.images:,} images, the odd ones of the "
        "test file: a surrogate was asked about the even ones",
        f"a network stops at the first exit with a softmax of {effort.threshold:g}",
    ]
