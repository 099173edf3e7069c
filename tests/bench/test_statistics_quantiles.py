from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom

from bench.statistics.quantiles import _interval_ranks, frames_needed, quantile, quantile_estimate


@pytest.mark.parametrize(("q", "frames"), [(0.50, 6), (0.90, 36), (0.95, 72), (0.99, 368)])
def test_a_percentile_appears_with_the_frames_it_needs_and_not_one_earlier(q: float, frames: int) -> None:
    values = np.random.default_rng(1).permutation(frames)
    assert frames_needed(q) == frames
    assert quantile_estimate(np.arange(frames - 1), q) is None
    assert _interval_ranks(frames, q, 0.95) is not None
    assert _interval_ranks(frames - 1, q, 0.95) is None
    assert quantile_estimate(values, q) is not None


@pytest.mark.parametrize("q", [0.05, 0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [400, 1000, 4321, 200_000])
def test_ranks_are_the_closest_that_hold_the_confidence(n: int, q: float) -> None:
    ranks = _interval_ranks(n, q, 0.95)
    assert ranks is not None
    low, high = ranks
    # X_low lies above the quantile when fewer than `low` values lie below it.
    assert binom.cdf(low - 1, n, q) <= 0.025 < binom.cdf(low, n, q)
    assert binom.sf(high - 1, n, q) <= 0.025 < binom.sf(high - 2, n, q)


@settings(deadline=None)
@given(arrays(np.float64, st.integers(36, 200), elements=st.floats(0.001, 1e6)), st.sampled_from([0.5, 0.9]))
def test_all_three_figures_are_latencies_that_occurred(values: np.ndarray, q: float) -> None:
    estimate = quantile_estimate(values, q)
    if estimate is not None:
        assert estimate.low <= estimate.value <= estimate.high
        assert {estimate.low, estimate.value, estimate.high} <= set(values)
        assert estimate.n == len(values)


@settings(deadline=None)
@given(arrays(np.float64, st.integers(1, 50), elements=st.floats(-1e6, 1e6)), st.floats(0.01, 0.99))
def test_the_quantile_is_that_of_the_inverted_distribution(values: np.ndarray, q: float) -> None:
    found = quantile(values, q)
    assert np.mean(values <= found) >= q - 1e-9
    assert np.mean(values < found) < q + 1e-9


def test_a_rank_survives_the_rounding_of_its_share() -> None:
    assert quantile(range(1, 101), 0.07) == 7


def test_frames_that_repeat_each_other_are_not_counted_twice() -> None:
    values = np.random.default_rng(5).lognormal(size=1000)
    once, repeated = quantile_estimate(values, 0.9), quantile_estimate(np.repeat(values, 5), 0.9)
    assert once is not None
    assert repeated is not None
    assert repeated.high - repeated.low == pytest.approx(once.high - once.low, rel=0.3)
    assert quantile_estimate(np.repeat(values[:80], 5), 0.99) is None


def test_the_interval_holds_the_quantile_as_often_as_it_says() -> None:
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(400):
        estimate = quantile_estimate(rng.exponential(size=600), 0.95)
        assert estimate is not None
        held += estimate.low <= -np.log(0.05) <= estimate.high
    # 20 misses expected; 38 or more would come about once in 10000 if the interval held 95%.
    assert held > 400 - 38
