from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from bench.statistics.dependence import _autocovariance, dependence, effective_count


def autoregressive(n: int, correlation: float, seed: int) -> NDArray[np.float64]:
    """A stationary Gaussian series with autocorrelation correlation**lag, mean 0 and variance 1."""
    innovations = np.random.default_rng(seed).standard_normal(n + 500) * np.sqrt(1 - correlation**2)
    series: NDArray[np.float64] = lfilter([1.0], [1.0, -correlation], innovations)[500:]
    return series


def test_autocovariances_are_those_of_the_definition() -> None:
    series = autoregressive(137, 0.6, 1)
    centred = series - series.mean()
    defined = [centred[lag:] @ centred[: len(series) - lag] / len(series) for lag in range(21)]
    np.testing.assert_allclose(_autocovariance(series, 20), defined, atol=1e-12)


@pytest.mark.parametrize("correlation", [0.3, 0.5, 0.8])
def test_autoregressive_series_have_the_dependence_that_theory_gives(correlation: float) -> None:
    n = 200_000
    found = dependence(autoregressive(n, correlation, 2))
    # Sum of |k| r(k) over sum of r(k), in the formula for the circular block bootstrap of the mean.
    share = 2 * correlation / (1 - correlation**2)
    assert found.inflation == pytest.approx((1 + correlation) / (1 - correlation), rel=0.1)
    assert found.block_length == pytest.approx((1.5 * share**2 * n) ** (1 / 3), rel=0.15)


def test_independent_values_count_almost_in_full() -> None:
    counts = [effective_count(np.random.default_rng(seed).standard_normal(1000)) for seed in range(30)]
    assert np.median(counts) > 900


def test_a_value_that_stays_for_a_while_counts_once() -> None:
    held = np.repeat(np.random.default_rng(3).standard_normal(500), 8)
    assert effective_count(held) == pytest.approx(500, rel=0.2)


def test_alternation_is_no_reason_to_claim_more_frames() -> None:
    alternating = np.tile([1.0, 2.0], 200) + np.random.default_rng(4).standard_normal(400) / 100
    assert dependence(alternating).inflation == 1.0


@pytest.mark.parametrize("series", [[], [5.0], [5.0] * 1000, [0.1 + 0.2, 0.3] * 50, list(range(7))])
def test_constant_and_very_short_series_count_as_independent(series: list[float]) -> None:
    found = dependence(series)
    assert (found.inflation, found.block_length) == (1.0, 1.0)


@pytest.mark.parametrize("n", [8, 9, 12, 30, 100])
def test_blocks_stay_within_the_published_cap(n: int) -> None:
    found = dependence(np.arange(n))
    assert 1 <= found.block_length <= np.ceil(min(3 * np.sqrt(n), n / 3))
    assert found.inflation >= 1
