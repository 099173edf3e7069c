"""Percentiles with the intervals that the order of the values gives, whatever their distribution."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.statistics.dependence import effective_count
from bench.summary import Estimate


def quantile(values: ArrayLike, q: float) -> float:
    """The smallest value with at least a share q in (0, 1) of the values (n,) at or below it.

    It is a latency that occurred: interpolation would invent one in the gap between two routes.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    return float(ordered[_rank(q, len(ordered)) - 1])


def quantile_estimate(values: ArrayLike, q: float, confidence: float = 0.95) -> Estimate | None:
    """The q-quantile, q in (0, 1), of a series (n,) in time order, or None where n cannot carry it.

    The interval runs from one order statistic to another, each tail at most (1 - confidence) / 2 by the binomial
    distribution (David and Nagaraja, "Order Statistics", section 7.1): no assumption on the shape of the latencies.
    Frames are not independent, so the binomial counts the effective number of observations of "at or below the
    quantile" and its ranks are stretched to n (Woodruff, JASA 47, 1952, with that as the design effect).

    Carried means that both ends of the interval are values that were seen.  At 95% that takes 368 independent frames
    for p99, 72 for p95, 36 for p90 and 6 for p50 (`frames_needed`).  A bound on one side alone would take 299 for p99,
    but the interval printed has two sides; MLPerf's loadgen asks 662, for 99% and one outlier allowed.  With fewer
    frames the p99 is the maximum under another name.
    """
    series = np.asarray(values, dtype=np.float64)
    n = len(series)
    if n < frames_needed(q, confidence):
        return None
    ordered = np.sort(series)
    value = float(ordered[_rank(q, n) - 1])
    # Where the quantile is the maximum, nothing lies above it and only "below" shows how long a value was held.
    effective = math.floor(min(effective_count(series <= value), effective_count(series < value)))
    ranks = _interval_ranks(effective, q, confidence)
    if ranks is None:
        return None
    low = ordered[math.floor(ranks[0] * n / effective) - 1]
    high = ordered[math.ceil(ranks[1] * n / effective) - 1]
    return Estimate(value, min(float(low), value), max(float(high), value), n)


def frames_needed(q: float, confidence: float = 0.95) -> int:
    """The smallest number of independent frames whose order statistics enclose the q-quantile at this confidence."""
    tail = (1 - confidence) / 2
    return math.ceil(math.log(tail) / math.log(max(q, 1 - q)))


def _rank(q: float, n: int) -> int:
    # 0.07 * 100 is 7.000000000000001, which must not become rank 8.
    return max(1, math.ceil(q * n * (1 - 1e-12)))


def _interval_ranks(n: int, q: float, confidence: float) -> tuple[int, int] | None:
    """Ranks (l, u), from 1, of the order statistics with P(X_l > quantile) and P(X_u < quantile) in the tails."""
    tail = (1 - confidence) / 2
    below = np.cumsum(_binomial_probabilities(n, q))
    low = int(np.searchsorted(below, tail, side="right"))
    high = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    return (low, high) if low >= 1 and high <= n else None


def _binomial_probabilities(n: int, q: float) -> NDArray[np.float64]:
    """P(k of n), k = 0..n."""
    k = np.arange(1, n + 1)
    combinations = np.concatenate(([0.0], np.cumsum(np.log((n - k + 1) / k))))
    k = np.arange(n + 1)
    probabilities: NDArray[np.float64] = np.exp(combinations + k * math.log(q) + (n - k) * math.log1p(-q))
    return probabilities
