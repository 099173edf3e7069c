"""Shares of frames, such as accuracy, with their intervals."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from bench.statistics.dependence import effective_count
from bench.summary import Estimate


def proportion_estimate(outcomes: ArrayLike, confidence: float = 0.95) -> Estimate | None:
    """The share of true outcomes (n,), in time order, or None without any.

    Wilson's interval (JASA 22, 1927): it keeps its confidence on average at the few hundred frames and the shares near
    1 that accuracies have, where Wald's collapses; Clopper and Pearson's exact one is wider than asked (Brown, Cai and
    DasGupta, Statistical Science 16, 2001).

    Neighbouring frames show the same sign, so they are right or wrong together: the interval counts the effective
    number of observations.  A series without any change (all right) cannot show its dependence and counts as
    independent.
    """
    series = np.asarray(outcomes, dtype=np.float64)
    n = len(series)
    if n == 0:
        return None
    share = float(series.mean())
    low, high = wilson_interval(share, effective_count(series), confidence)
    return Estimate(share, low, high, n)


def wilson_interval(share: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval, within [0, 1], of a share seen in n > 0 independent trials."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    scale = 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / scale
    # Rounding may leave a share of exactly 0 or 1 outside by an ulp.
    return min(max(0.0, centre - half), share), max(min(1.0, centre + half), share)
