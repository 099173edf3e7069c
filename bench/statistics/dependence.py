"""How much each frame says about the next: long-run variance, effective number of observations, block length.

Heat, clocks and other processes act on many frames in a row, so n frames carry less than n independent ones would.
Everything here stands on one estimate: the autocovariances under the flat-top window of Politis and White, whose
bandwidth the data choose.

- Politis and White, "Automatic block-length selection for the dependent bootstrap", Econometric Reviews 23 (2004).
- Patton, Politis and White, "Correction to ...", Econometric Reviews 28 (2009).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Dependence:
    """Dependence of a series: `inflation` is long-run variance / variance, `block_length` that of the bootstrap."""

    inflation: float
    block_length: float


def dependence(values: ArrayLike) -> Dependence:
    """The dependence of a series (n,) in time order.

    `inflation` is never below 1: that frames alternate (ABBA) is no reason to claim more frames than there are.
    `block_length` is the optimal one for the circular block bootstrap of the mean (2009, eq. 5 and 6), at least 1 and
    at most min(3 sqrt(n), n/3).  A series without a significant autocorrelation counts as independent, and so does a
    constant or very short one.
    """
    series = np.asarray(values, dtype=np.float64)
    n = len(series)
    # Spread below the last digits of the values is rounding, not dependence.
    if n < 8 or np.ptp(series) <= 1e-12 * float(np.max(np.abs(series))):
        return Dependence(1.0, 1.0)
    lags = min(math.ceil(math.sqrt(n)) + _quiet_lags(n), n - 1)
    covariance = _autocovariance(series, lags)
    bandwidth = _bandwidth(covariance / covariance[0], n)
    if bandwidth == 0:
        return Dependence(1.0, 1.0)
    lag = np.arange(1, bandwidth + 1)
    weighted = 2 * np.clip(2 * (1 - lag / bandwidth), 0.0, 1.0) * covariance[1 : bandwidth + 1]
    long_run_variance = covariance[0] + weighted.sum()
    # The flat-top window buys its small bias with estimates that may turn out negative on short series.
    if long_run_variance <= 0:
        return Dependence(1.0, 1.0)
    optimal = (1.5 * n * (float(lag @ weighted) / long_run_variance) ** 2) ** (1 / 3)
    longest = math.ceil(min(3 * math.sqrt(n), n / 3))
    return Dependence(max(1.0, float(long_run_variance / covariance[0])), min(max(1.0, optimal), longest))


def effective_count(values: ArrayLike) -> float:
    """The number of independent observations, in [1, n], that would give the mean of the series (n,) its variance."""
    series = np.asarray(values, dtype=np.float64)
    return max(1.0, len(series) / dependence(series).inflation)


def _autocovariance(series: NDArray[np.float64], lags: int) -> NDArray[np.float64]:
    """Autocovariances (lags + 1,) with divisor n, by way of the spectrum: long runs have 1e6 frames."""
    n = len(series)
    size = 1 << (n + lags).bit_length()
    spectrum = np.fft.rfft(series - series.mean(), size)
    covariance: NDArray[np.float64] = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[: lags + 1] / n
    return covariance


def _quiet_lags(n: int) -> int:
    return max(5, math.ceil(math.sqrt(math.log10(n))))


def _bandwidth(correlation: NDArray[np.float64], n: int) -> int:
    """Twice the lag behind which the autocorrelations stay insignificant (2004, section 3.2), within what there is."""
    longest = len(correlation) - 1
    quiet = _quiet_lags(n)
    significant = np.abs(correlation) >= 2 * math.sqrt(math.log10(n) / n)
    for lag in range(longest - quiet + 1):
        if not significant[lag + 1 : lag + 1 + quiet].any():
            return min(2 * lag, longest)
    return longest
