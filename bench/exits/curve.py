"""One threshold for all exits: every value that changes anything, and what it leads to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.exits.table import NEVER, ExitTable, Floats


@dataclass(frozen=True, slots=True)
class Curve:
    """For every threshold (n,), rising: accuracy and mean milliseconds (n,), and shares (n, exits) by exit."""

    thresholds: Floats
    accuracy: Floats
    mean_ms: Floats
    shares: Floats


def common_thresholds(table: ExitTable) -> Floats:
    """The thresholds that tell frames apart: one in every gap between certainties, one below all, and NEVER."""
    reached = np.unique(np.maximum.accumulate(table.certainty[:, :-1], axis=1))
    return np.concatenate((reached[:1], (reached[1:] + reached[:-1]) / 2, [NEVER]))


def curve(table: ExitTable, thresholds: Floats, *, most_confident: bool = False) -> Curve:
    """What each of these common thresholds (n,) leads to.

    A frame leaves at exit k for thresholds above its largest certainty before k and up to that with k.  So counting the
    frames of every exit takes a sorted column, not a pass over the frames for every threshold.
    """
    reached = np.maximum.accumulate(table.certainty[:, :-1], axis=1)
    exits, frames = table.exits, table.frames
    shares = np.empty((len(thresholds), exits))
    accuracy = np.zeros(len(thresholds))
    stayed = np.full(len(thresholds), frames)
    for index in range(exits - 1):
        left_by_now = _sum_from(reached[:, index], np.ones(frames), thresholds)
        shares[:, index] = left_by_now - (frames - stayed)
        stayed = frames - left_by_now
        accuracy += _sum_from(reached[:, index], table.right[:, index], thresholds)
        if index:
            accuracy -= _sum_from(reached[:, index - 1], table.right[:, index], thresholds)
    shares[:, -1] = stayed
    answering = table.certainty.argmax(1) if most_confident else np.full(frames, exits - 1)
    at_end = table.right[np.arange(frames), answering]
    accuracy += at_end.sum() - _sum_from(reached[:, -1], at_end, thresholds)
    shares /= frames
    costs = np.where((thresholds == NEVER)[:, None], table.full_ms, table.cost_ms)
    if most_confident:
        # Where nobody else was asked, the last is the surest.
        accuracy[thresholds == NEVER] = table.right[:, -1].sum()
    return Curve(thresholds, accuracy / frames, (shares * costs).sum(1), shares)


def _sum_from(values: Floats, weights: NDArray[np.bool_] | Floats, thresholds: Floats) -> Floats:
    """For every threshold, the sum of the weights of the values that reach it."""
    order = np.argsort(values)
    sums = np.concatenate(([0.0], np.cumsum(weights[order], dtype=np.float64)))
    below = np.searchsorted(values[order], thresholds, side="left")
    result: Floats = sums[-1] - sums[below]
    return result
