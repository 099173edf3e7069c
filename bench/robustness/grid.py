"""Accuracy over models, methods and radii."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from bench.crafting import Order
from bench.robustness.defence import Defence
from bench.robustness.kept import Attacked, Delivery, Kept
from bench.robustness.natural import SEVERITIES, at_severities, corrupted
from bench.robustness.radius import LEVELS, at_radius
from bench.robustness.score import Score, scored, worst_for_each

CLEAN = "clean"
WORST = "the worst method for each image"


@dataclass(frozen=True, slots=True)
class Cell:
    """One `model` under one `method` (or `CLEAN`, or `WORST`) at one radius, `levels` of 255, whose whole spec is
    `spec`; the `controller`'s spec says how the model decides about gates and exits.  Under a corruption, that is the
    method, there is no radius but a `severity`, 1 to 5.

    `floats` is the score of the images as they were crafted, `frames` that of the 8-bit frames.  Shares of images that
    had a gradient of zero, or one that is not finite; gradients and queries spent on each image.
    """

    model: str
    method: str
    levels: Fraction
    spec: str
    floats: Score
    frames: Score
    zero_gradients: float = 0.0
    non_finite_gradients: float = 0.0
    gradients: int = 0
    queries: int = 0
    controller: str = ""
    severity: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is attacked: 8-bit `frames` (n, 3, h, w) with `labels` (n,), by `methods` (specs without a radius) at
    radii of so many `levels` of 255, in batches drawn from `seed`; each is scored on `draws` fresh draws.

    The `corruptions` (specs without a severity) are shown at all five.
    """

    frames: NDArray[np.uint8]
    labels: NDArray[np.int64]
    methods: Sequence[str]
    levels: Sequence[Fraction]
    seed: int = 0
    batch: int = 16
    draws: int = 20
    corruptions: Sequence[str] = ()

    @property
    def cells(self) -> int:
        """How many there are for each defence."""
        rows = len(self.methods) + (len(self.methods) > 1)
        return 1 + len(self.corruptions) * len(SEVERITIES) + len(self.radii) * rows

    @property
    def radii(self) -> list[Fraction]:
        """The levels above 0, smallest first."""
        return sorted({each for each in self.levels if each > 0})

    def order(self, defence: Defence, method: str, levels: Fraction) -> Order:
        """What is to be crafted for one cell.

        Raises:
            PluginError, SpecError: see `at_radius`.
        """
        attack, spec = at_radius(method, levels / LEVELS, defence.output)
        return Order(
            attack, spec, defence.target, defence.digest, self.frames, self.labels, seed=self.seed, batch=self.batch
        )


def cells(plan: Plan, defences: Sequence[Defence], kept: Kept) -> Iterator[Cell]:
    """Every cell, as soon as it is finished; the clean images come first, and after all methods of a radius what the
    worst of them does to each image.

    Raises:
        OutOfTime: the budget of `kept` is spent: the cells given so far are whole.
        ValueError: see `Kept.attacked`.
        PluginError, SpecError: see `at_severities`.
    """
    for defence in defences:
        clean = kept.clean(plan.frames, plan.labels, defence, plan.draws)
        yield _cell(defence, CLEAN, Fraction(0), CLEAN, clean, clean)
    for text in plan.corruptions:
        for severity, corruption, spec in at_severities(text):
            frames = corrupted(plan.frames, corruption, plan.seed)
            for defence in defences:
                found = kept.clean(frames, plan.labels, defence, plan.draws)
                yield replace(_cell(defence, text, Fraction(0), spec, found, found), severity=severity)
    for levels in plan.radii:
        answered = [list[tuple[Attacked, Attacked]]() for _ in defences]
        for method in plan.methods:
            for defence, own in zip(defences, answered, strict=True):
                order = plan.order(defence, method, levels)
                floats, delivered = (kept.attacked(order, defence, plan.draws, each) for each in get_args(Delivery))
                own.append((floats, delivered))
                yield _cell(defence, method, levels, order.spec, floats, delivered)
        if len(plan.methods) > 1:
            for defence, own in zip(defences, answered, strict=True):
                floats, delivered = (_worst(each) for each in zip(*own, strict=True))
                yield _cell(defence, WORST, levels, WORST, floats, delivered)


def _worst(found: Sequence[Attacked]) -> Attacked:
    labels = found[0].labels
    return Attacked(worst_for_each([each.answers for each in found], labels), labels)


def _cell(defence: Defence, method: str, levels: Fraction, spec: str, attacked: Attacked, delivered: Attacked) -> Cell:
    floats, frames = scored(attacked.answers, attacked.labels), scored(delivered.answers, delivered.labels)
    cell = Cell(defence.name, method, levels, spec, floats, frames, controller=defence.controller)
    made = attacked.adversarial
    if made is None:
        return cell
    return replace(
        cell,
        zero_gradients=float((made.zero_gradients > 0).mean()),
        non_finite_gradients=float((made.non_finite_gradients > 0).mean()),
        gradients=int(made.gradients.max()),
        queries=int(made.queries.max()),
    )
