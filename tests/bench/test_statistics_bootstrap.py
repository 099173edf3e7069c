from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import t

from bench.statistics.bootstrap import (
    _circular_sums,
    _resampled_sums,
    _student_quantile,
    change_estimate,
    mean_estimate,
    reduction_estimate,
)


def generator() -> np.random.Generator:
    return np.random.default_rng(1)


def latencies(n: int, seed: int, correlation: float = 0.0) -> NDArray[np.float64]:
    """Lognormal latencies with mean exp(0.045), neighbours correlated."""
    innovations = np.random.default_rng(seed).standard_normal(n + 200) * np.sqrt(1 - correlation**2)
    series: NDArray[np.float64] = np.exp(0.3 * lfilter([1.0], [1.0, -correlation], innovations)[200:])
    return series


@settings(deadline=None)
@given(st.lists(st.integers(-100, 100), min_size=1, max_size=20), st.data())
def test_sums_go_on_at_the_front(values: list[int], data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(values)))
    around = values + values
    expected = [sum(around[start : start + length]) for start in range(len(values))]
    np.testing.assert_allclose(_circular_sums(np.array(values, dtype=np.float64), length), expected)


@pytest.mark.parametrize("block", [1, 3, 7, 50])
def test_a_resample_has_the_mean_of_the_series_on_average(block: int) -> None:
    series = latencies(50, 3)
    means = _resampled_sums([series], block, generator())[0] / len(series)
    assert means.mean() == pytest.approx(series.mean(), abs=5 * means.std() / np.sqrt(len(means)) + 1e-12)


@pytest.mark.parametrize("freedom", [3, 5, 10, 100])
def test_student_quantiles_are_those_of_the_distribution(freedom: int) -> None:
    assert _student_quantile(0.975, freedom) == pytest.approx(t.ppf(0.975, freedom), rel=0.01)


@pytest.mark.parametrize("n", [30, 2000])
def test_the_mean_of_independent_values_has_the_interval_of_the_textbook(n: int) -> None:
    ratios = []
    for seed in range(15):
        values = np.random.default_rng(seed).standard_normal(n) + 10
        estimate = mean_estimate(values, generator())
        assert estimate is not None
        half = t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)
        assert estimate.value == pytest.approx(values.mean())
        ratios.append((estimate.high - estimate.low) / (2 * half))
    assert np.median(ratios) == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize(("correlation", "least"), [(0.0, 51), (0.7, 49)])
def test_the_interval_holds_the_mean_whether_or_not_frames_depend_on_each_other(correlation: float, least: int) -> None:
    held = 0
    for seed in range(60):
        estimate = mean_estimate(latencies(600, seed, correlation), generator())
        assert estimate is not None
        held += estimate.low <= np.exp(0.045) <= estimate.high
    assert held >= least


def test_the_same_seed_gives_the_same_interval() -> None:
    values = latencies(300, 1)
    assert mean_estimate(values, generator()) == mean_estimate(values, generator())


def test_a_long_run_is_resampled_within_bounds() -> None:
    estimate = mean_estimate(np.tile([1.0, 2.0, 4.0], 50_000), generator())
    assert estimate is not None
    assert estimate.low <= 7 / 3 <= estimate.high


@pytest.mark.parametrize("n", [0, 1, 19])
def test_a_handful_of_frames_carries_no_interval(n: int) -> None:
    values = latencies(n, 1)
    assert mean_estimate(values, generator()) is None
    assert reduction_estimate(values, values, generator()) is None
    assert change_estimate(values, latencies(100, 2), generator()) is None


def test_a_constant_series_is_certain() -> None:
    estimate = mean_estimate([3.0] * 50, generator())
    assert estimate is not None
    assert (estimate.low, estimate.value, estimate.high) == pytest.approx((3, 3, 3))


@pytest.mark.parametrize("factor", [0.2, 0.8, 1.0, 1.7])
def test_what_both_networks_suffer_cancels(factor: float) -> None:
    baseline = latencies(400, 7, 0.9) * np.linspace(1, 3, 400)
    estimate = reduction_estimate(factor * baseline, baseline, generator())
    assert estimate is not None
    assert (estimate.low, estimate.value, estimate.high) == pytest.approx((1 - factor,) * 3, abs=1e-9)


def test_the_reduction_is_one_of_means_and_its_interval_holds_it() -> None:
    held = 0
    for seed in range(60):
        shared = latencies(300, seed, 0.8)
        model = 0.7 * shared * latencies(300, 1000 + seed) / np.exp(0.045)
        estimate = reduction_estimate(model, shared, generator())
        assert estimate is not None
        assert estimate.value == pytest.approx(1 - model.mean() / shared.mean())
        assert estimate.n == 300
        held += estimate.low <= 0.3 <= estimate.high
    assert held >= 50


def test_unpaired_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="paired: 30 of the model stand against 31"):
        reduction_estimate(latencies(30, 1), latencies(31, 1), generator())


def test_a_baseline_without_duration_is_refused() -> None:
    with pytest.raises(ValueError, match="took no time"):
        reduction_estimate(latencies(30, 1), np.zeros(30), generator())


def test_a_change_is_relative_to_what_was_before() -> None:
    estimate = change_estimate(latencies(900, 1), 1.5 * latencies(900, 2), generator())
    assert estimate is not None
    assert 0.3 < estimate.low < 0.5 < estimate.high < 0.7
