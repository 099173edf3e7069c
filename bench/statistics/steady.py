"""Where a run settles, and whether it stays settled."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bench.statistics.bootstrap import change_estimate
from bench.summary import Estimate

BATCH = 5
FEWEST_BATCHES = 10
FEWEST_FRAMES = BATCH * FEWEST_BATCHES


def steady_start(values: ArrayLike) -> int:
    """How many of the first frames were warm-up; all of them, n, where no steady part was found.

    MSER-5 (White, "An effective truncation heuristic for bias reduction in simulation output", Simulation 69, 1997):
    batches of 5 frames, and the cut that makes the squared standard error of the rest smallest.  A cut in the second
    half says that the series (n,) had not settled.  Batches count by their median rather than their mean: a spike that
    another process made is no warm-up.  Fewer than 50 frames cannot settle the question and count as warm-up.
    """
    series = np.asarray(values, dtype=np.float64)
    if len(series) < FEWEST_FRAMES:
        return len(series)
    batches = len(series) // BATCH
    # What is left over of the last batch is taken off the front, where the warm-up is.
    offset = len(series) - batches * BATCH
    medians = np.median(series[offset:].reshape(batches, BATCH), axis=1)
    centred = medians - medians.mean()
    left = np.arange(batches, 0, -1)
    sums, squares = np.cumsum(centred[::-1])[::-1], np.cumsum(centred[::-1] ** 2)[::-1]
    error = (squares - sums**2 / left) / left**2
    # A few batches at the end agree by chance: without keeping a third, 1 in 7 steady runs of 200 frames is refused.
    cut = int(np.argmin(error[: batches - max(batches // 3, FEWEST_BATCHES // 2) + 1]))
    if cut > batches // 2:
        return len(series)
    return offset + cut * BATCH if cut else 0


def drift_estimate(values: ArrayLike, rng: np.random.Generator) -> Estimate | None:
    """By which share the mean of the last third of the frames (n,) lies above that of the first; None below 60 frames.

    0.1 means that the run became 10% slower.
    """
    series = np.asarray(values, dtype=np.float64)
    third = len(series) // 3
    return change_estimate(series[:third], series[len(series) - third :], rng)
