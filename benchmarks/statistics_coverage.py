"""How often the 95% intervals hold the truth, on lognormal latencies whose neighbours are correlated.

    python benchmarks/statistics_coverage.py [RUNS]

Prints one table; a row is an autocorrelation and a number of frames, a cell the share of runs whose interval held the
true figure.  "-": too few runs carried the figure.
"""

from __future__ import annotations

import sys
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bench.statistics.bootstrap import mean_estimate, reduction_estimate
from bench.statistics.proportion import proportion_estimate
from bench.statistics.quantiles import quantile_estimate
from bench.statistics.steady import drift_estimate
from bench.summary import Estimate

SPREAD = 0.3
SHARE = 0.9
REDUCTION = 0.3
FIGURES = ("mean", "p50", "p90", "p99", "reduction", "share", "drift")


def correlated(n: int, correlation: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A stationary Gaussian series (n,), variance 1, autocorrelation correlation**lag."""
    series = rng.standard_normal(n)
    for index in range(1, n):
        series[index] = correlation * series[index - 1] + np.sqrt(1 - correlation**2) * series[index]
    return series


def estimates(n: int, correlation: float, rng: np.random.Generator) -> list[tuple[Estimate | None, float]]:
    """Each figure's estimate and truth, in the order of FIGURES."""
    normal = NormalDist()
    series = correlated(n, correlation, rng)
    latencies = np.exp(SPREAD * series)
    # Both networks share the machine; the model's own spread comes from its routes.
    model = (1 - REDUCTION) * latencies * np.exp(SPREAD * rng.standard_normal(n) - SPREAD**2 / 2)
    return [
        (mean_estimate(latencies, rng), float(np.exp(SPREAD**2 / 2))),
        *((quantile_estimate(latencies, q), float(np.exp(SPREAD * normal.inv_cdf(q)))) for q in (0.5, 0.9, 0.99)),
        (reduction_estimate(model, latencies, rng), REDUCTION),
        (proportion_estimate(series < normal.inv_cdf(SHARE)), SHARE),
        (drift_estimate(latencies, rng), 0.0),
    ]


def main(runs: int) -> None:
    rng = np.random.default_rng(1)
    print(f"{'correlation':>11} {'frames':>6} " + " ".join(f"{figure:>9}" for figure in FIGURES))
    for correlation in (0.0, 0.2, 0.5, 0.8, 0.95):
        for n in (100, 400, 2000):
            held: list[list[bool]] = [[] for _ in FIGURES]
            for _ in range(runs):
                for cell, (estimate, truth) in zip(held, estimates(n, correlation, rng), strict=True):
                    if estimate is not None:
                        cell.append(estimate.low <= truth <= estimate.high)
            cells = (f"{np.mean(cell):9.3f}" if len(cell) >= runs / 4 else f"{'-':>9}" for cell in held)
            print(f"{correlation:11.2f} {n:6d} " + " ".join(cells), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
