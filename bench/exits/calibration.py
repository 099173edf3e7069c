"""Thresholds for a target, and an honest word on how well they will do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.exits.search import Found, common_threshold, thresholds_per_exit
from bench.exits.table import NEVER, ExitTable, outcome
from bench.exits.target import Target, TargetError
from bench.statistics.proportion import proportion_estimate
from bench.summary import Estimate
from edge.network import Network

MACS_PER_MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Figures:
    """An accuracy, and the mean time as a share of the full network's."""

    accuracy: Estimate
    share: float


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Thresholds (exits - 1) in the controller's measure, None for an exit not to ask, and the shares by exit.

    `chosen_on` are the figures on the frames that the thresholds were chosen on, which flatter them.  `held_out` are
    those of choosing on one half of the frames and trying on the other, both ways; None where a half reaches no target.
    """

    thresholds: tuple[float | None, ...]
    exits: tuple[float, ...]
    chosen_on: Figures
    held_out: Figures | None


def calibrate(
    table: ExitTable, target: Target, *, falls: bool, per_exit: bool = False, most_confident: bool = False
) -> Calibrated:
    """The best thresholds for the target; the measure `falls` where small is sure.

    Raises:
        TargetError: none reaches the target.
    """
    search = thresholds_per_exit if per_exit else common_threshold
    found = search(table, target, most_confident=most_confident)
    sign = -1.0 if falls else 1.0
    shares = np.bincount(found.outcome.exit, minlength=table.exits) / table.frames
    halves = [table.of_frames(slice(start, None, 2)) for start in (0, 1)]
    try:
        chosen: list[Found] = [search(half, target, most_confident=most_confident) for half in halves]
    except TargetError:
        chosen = []
    tried = [
        outcome(half, other.thresholds, most_confident=most_confident)
        for half, other in zip(halves, chosen[::-1], strict=False)
    ]
    return Calibrated(
        thresholds=tuple(None if value == NEVER else sign * value for value in found.thresholds.tolist()),
        exits=tuple(shares.tolist()),
        chosen_on=_figures(table, found.outcome.right, found.outcome.mean_ms),
        held_out=None
        if not tried
        else _figures(
            table,
            np.concatenate([each.right for each in tried]),
            float(np.average([each.mean_ms for each in tried], weights=[half.frames for half in halves])),
        ),
    )


def in_macs(table: ExitTable, network: Network) -> ExitTable:
    """The table with costs in millions of multiply-accumulates instead of milliseconds, all blocks kept."""
    route = network.full_route
    heads = [network.stages[exit_.head].macs for exit_ in network.exits]
    trunk = [network.macs(route, index) - heads[index] for index in range(len(heads))]
    costs = (np.array(trunk) + np.cumsum(heads)) / MACS_PER_MILLION
    return ExitTable(table.certainty, table.right, costs, network.macs(route) / MACS_PER_MILLION)


def _figures(table: ExitTable, right: NDArray[np.bool_], mean: float) -> Figures:
    accuracy = proportion_estimate(right)
    assert accuracy is not None, "a table has at least one frame"
    return Figures(accuracy, mean / table.full_ms)
