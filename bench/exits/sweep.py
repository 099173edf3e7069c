"""What every threshold makes of a network, beside what it must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.exits.curve import common_thresholds, curve
from bench.exits.search import common_threshold
from bench.exits.table import NEVER, ExitTable, Outcome, break_even_shares, oracle, outcome
from bench.exits.target import Target, TargetError
from bench.exits.walk import Beside, Walk
from bench.statistics.proportion import proportion_estimate
from bench.summary import Estimate

# The operating point that papers report: as right as the whole network, to within a point.
_WITHIN = Target("loss", 0.01)
_MOST_DRAWN = 400


@dataclass(frozen=True, slots=True)
class Point:
    """One way to run: `threshold` in the controller's own measure, None where there is none.

    `mean_ms` mixes what is typical of the exits taken; `share` is that of the full network's time; `exits` the shares
    of frames by exit, empty for a static network.
    """

    name: str
    threshold: float | None
    accuracy: Estimate
    mean_ms: float
    share: float
    exits: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ExitPoint:
    """An exit by itself: its accuracy if all frames left there, and what leaving there takes, in milliseconds.

    `break_even` is the share of frames that must leave there for the heads to pay; None where even all would not.
    """

    accuracy: Estimate
    leaving_ms: float
    break_even: float | None


@dataclass(frozen=True, slots=True)
class Sweep:
    """Thresholds over frames.

    `static` is the same network without heads; `beside` other static networks, each with the point of the sweep that is
    no slower and most often right (None where none is so fast).  `within` is the fastest threshold with an accuracy
    within a point of the last exit's.  `line` is the whole curve as (milliseconds, accuracy), for a picture.
    """

    frames: int
    failed: int
    controller: str
    exits: tuple[ExitPoint, ...]
    points: tuple[Point, ...]
    within: Point | None
    static: Point
    beside: tuple[tuple[Point, Point | None], ...]
    oracle: Point
    line: tuple[tuple[float, float], ...]


def summarise_sweep(
    walk: Walk, controller: str, thresholds: Sequence[float], *, falls: bool, most_confident: bool = False
) -> Sweep:
    """The sweep of a walk; `thresholds` are in the controller's measure, which `falls` where small is sure."""
    table = walk.table
    points = _Points(table, controller, -1.0 if falls else 1.0, most_confident)
    static, *others = (_static(each, table) for each in walk.beside)
    exits = [
        ExitPoint(_estimate(table.right[:, index]), float(table.cost_ms[index]), share)
        for index, share in enumerate([*break_even_shares(table), None])
    ]
    whole = curve(table, common_thresholds(table), most_confident=most_confident)
    drawn = np.unique(np.linspace(0, len(whole.thresholds) - 1, _MOST_DRAWN).round().astype(int))
    return Sweep(
        frames=table.frames,
        failed=walk.failed,
        controller=controller,
        exits=tuple(exits),
        points=tuple(points.at(threshold) for threshold in thresholds),
        within=points.best(_WITHIN),
        static=static,
        # A share above 1 is no target, but then no threshold is slower.
        beside=tuple((each, points.best(Target("latency", min(each.share, 1.0)))) for each in others),
        oracle=_point("oracle", None, oracle(table), table),
        line=tuple(zip(whole.mean_ms[drawn].tolist(), whole.accuracy[drawn].tolist(), strict=True)),
    )


@dataclass(frozen=True, slots=True)
class _Points:
    """Points of a table by their common threshold; `sign` leads from a measure to certainty and back."""

    table: ExitTable
    controller: str
    sign: float
    most_confident: bool

    def at(self, threshold: float) -> Point:
        common = np.full(self.table.exits - 1, self.sign * threshold)
        found = outcome(self.table, common, most_confident=self.most_confident)
        return _point(f"{self.controller}:{threshold:g}", threshold, found, self.table)

    def best(self, target: Target) -> Point | None:
        """The best point that reaches the target, if one does."""
        try:
            found = common_threshold(self.table, target, most_confident=self.most_confident)
        except TargetError:
            return None
        asked = found.thresholds[found.thresholds < NEVER]
        if not len(asked):
            return _point("no exit asked", None, found.outcome, self.table)
        threshold = self.sign * float(asked[0])
        return _point(f"{self.controller}:{threshold:.4g}", threshold, found.outcome, self.table)


def _point(name: str, threshold: float | None, found: Outcome, table: ExitTable) -> Point:
    shares = np.bincount(found.exit, minlength=table.exits) / table.frames
    share = found.mean_ms / table.full_ms
    return Point(name, threshold, _estimate(found.right), found.mean_ms, share, tuple(shares.tolist()))


def _static(beside: Beside, table: ExitTable) -> Point:
    return Point(beside.name, None, _estimate(beside.right), beside.typical_ms, beside.typical_ms / table.full_ms)


def _estimate(right: NDArray[np.bool_]) -> Estimate:
    estimate = proportion_estimate(right)
    assert estimate is not None, "a walk has at least one frame"
    return estimate
