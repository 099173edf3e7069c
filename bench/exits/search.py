"""Thresholds for a target, from what every exit said of every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.exits.curve import common_thresholds, curve
from bench.exits.table import NEVER, ExitTable, Floats, Outcome, outcome
from bench.exits.target import Target, TargetError

# What a point of accuracy is worth, in shares of the full network's time, from nothing to everything.
_WORTHS = np.geomspace(1e-2, 1e3, 24).tolist()
_BISECTIONS = 16
_ROUNDS = 12


@dataclass(frozen=True, slots=True)
class Found:
    """Thresholds (exits - 1,) on the scale of certainty, NEVER for an exit not to ask, and what they lead to."""

    thresholds: Floats
    outcome: Outcome


def common_threshold(table: ExitTable, target: Target, *, most_confident: bool = False) -> Found:
    """The best threshold for all exits alike: exact, since every threshold that tells frames apart is tried.

    Raises:
        TargetError: none reaches the target.
    """
    found = curve(table, common_thresholds(table), most_confident=most_confident)
    figures = list(zip(found.accuracy.tolist(), found.mean_ms.tolist(), strict=True))
    allowed = [index for index, each in enumerate(figures) if target.allows(table, *each)]
    if not allowed:
        raise _unreachable(table, target, float(found.accuracy.max()), float(found.mean_ms.min()))
    best = min(allowed, key=lambda index: _worse(target, *figures[index]))
    thresholds = np.full(table.exits - 1, found.thresholds[best])
    return _without_idle_exits(table, thresholds, target, most_confident)


def thresholds_per_exit(table: ExitTable, target: Target, *, most_confident: bool = False) -> Found:
    """A threshold for each exit: at least as good as the best common one.

    Accuracy is given a price, and the thresholds are improved one by one at that price, each exactly; the best of all
    prices that reaches the target is taken.  One by one is not all at once: there may be better ones still.

    Raises:
        TargetError: not even a common threshold reaches the target.
    """
    best = common_threshold(table, target, most_confident=most_confident)
    starts = best.thresholds

    def tried(worth: float) -> bool:
        """Keep what is best at this price, if it reaches the target; whether it is accurate enough, or too slow."""
        nonlocal best, starts
        starts = _improved(table, starts, worth * table.full_ms)
        found = _without_idle_exits(table, starts, target, most_confident)
        allowed = target.allows(table, found.outcome.accuracy, found.outcome.mean_ms)
        if allowed and _rank(target, found.outcome) < _rank(target, best.outcome):
            best = found
        return allowed != (target.kind == "latency")

    # The dearer accuracy, the more of it, up to where the target is just reached.
    low = high = _WORTHS[0]
    for high in _WORTHS:
        if tried(high):
            break
        low = high
    for _ in range(_BISECTIONS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if tried(middle) else (middle, high)
    return best


def _improved(table: ExitTable, thresholds: Floats, worth_ms: float) -> Floats:
    """Thresholds where no single one can be changed to lower mean time less `worth_ms` times accuracy."""
    loss = table.cost_ms - worth_ms * table.right
    frames = np.arange(table.frames)
    thresholds = thresholds.copy()
    for _ in range(_ROUNDS):
        before = thresholds.copy()
        for index in range(table.exits - 1):
            arrives = (table.certainty[:, :index] < thresholds[:index]).all(1)
            later = thresholds.copy()
            later[: index + 1] = NEVER
            fires = table.certainty[:, :-1] >= later
            goes_on_to = np.where(fires.any(1), fires.argmax(1), table.exits - 1)
            gain = (loss[frames, goes_on_to] - loss[:, index])[arrives]
            thresholds[index] = _best_cut(table.certainty[arrives, index], gain)
        if (thresholds == before).all():
            break
    return thresholds


def _best_cut(certainty: Floats, gain: Floats) -> float:
    """The threshold from which on the sum of the gains is largest; NEVER where it is never above 0."""
    order = np.argsort(-certainty, kind="stable")
    sorted_certainty, sums = certainty[order], np.cumsum(gain[order])
    # Equal certainties leave together.
    last_of_equals = np.append(sorted_certainty[1:] < sorted_certainty[:-1], True)[: len(sums)]
    sums = np.where(last_of_equals, sums, -np.inf)
    if not len(sums) or sums.max() <= 0:
        return NEVER
    place = int(sums.argmax())
    following = sorted_certainty[place + 1] if place + 1 < len(sums) else sorted_certainty[place]
    return float((sorted_certainty[place] + following) / 2)


def _without_idle_exits(table: ExitTable, thresholds: Floats, target: Target, most_confident: bool) -> Found:
    """An exit at which no frame leaves is not asked, unless its answer may still be needed."""
    found = outcome(table, thresholds, most_confident=most_confident)
    used = np.isin(np.arange(table.exits - 1), found.exit)
    spared = np.where(used, thresholds, NEVER)
    without = outcome(table, spared, most_confident=most_confident)
    return Found(spared, without) if _rank(target, without) <= _rank(target, found) else Found(thresholds, found)


def _rank(target: Target, found: Outcome) -> tuple[float, float]:
    return _worse(target, found.accuracy, found.mean_ms)


def _worse(target: Target, accuracy: float, mean_ms: float) -> tuple[float, float]:
    """What is to be small, first of all and then."""
    return (-accuracy, mean_ms) if target.kind == "latency" else (mean_ms, -accuracy)


def _unreachable(table: ExitTable, target: Target, best: float, fastest_ms: float) -> TargetError:
    if target.kind == "latency":
        share = f"{fastest_ms / table.full_ms:.2f} of the full network's time"
        fastest = f"{fastest_ms:.3f} ms" if target.in_ms else share
        return TargetError(
            f"no threshold reaches {target}: even leaving at the first exit takes {fastest}; ask for more"
        )
    return TargetError(f"no threshold reaches {target}: the best accuracy on these frames is {best:.4f}; ask for less")
