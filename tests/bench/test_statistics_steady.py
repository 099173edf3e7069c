from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.statistics.steady import drift_estimate, steady_start


def steady(n: int, seed: int = 0) -> NDArray[np.float64]:
    return 5 + 0.1 * np.random.default_rng(seed).standard_normal(n)


def by_definition(values: NDArray[np.float64]) -> int:
    """MSER over medians of 5, written as its authors do."""
    offset = len(values) % 5
    batches = [float(np.median(values[start : start + 5])) for start in range(offset, len(values), 5)]
    longest = len(batches) - max(len(batches) // 3, 5)
    error = [np.var(batches[cut:]) / (len(batches) - cut) for cut in range(longest + 1)]
    cut = int(np.argmin(error))
    if cut > len(batches) // 2:
        return len(values)
    return offset + 5 * cut if cut else 0


@pytest.mark.parametrize("n", [50, 53, 100, 271, 1000])
def test_the_cut_is_that_of_the_definition(n: int) -> None:
    for seed in range(20):
        values = steady(n, seed) + np.exp(-np.arange(n) / 20)
        assert steady_start(values) == by_definition(values)


@pytest.mark.parametrize("warm_up", [5, 40, 150])
def test_a_slow_beginning_is_found(warm_up: int) -> None:
    values = steady(500)
    values[:warm_up] += 3
    assert warm_up <= steady_start(values) <= warm_up + 25


def test_a_steady_run_loses_next_to_nothing() -> None:
    cuts = [steady_start(steady(1000, seed)) for seed in range(40)]
    assert np.median(cuts) <= 5
    assert max(cuts) < 200


def test_constant_latencies_are_steady() -> None:
    assert steady_start([2.0] * 100) == 0


def test_a_spike_is_no_warm_up() -> None:
    values = np.full(400, 2.0)
    values[100:102] = 50
    assert steady_start(values) == 0


def test_a_late_step_has_not_settled() -> None:
    values = steady(300)
    values[180:] += 2
    assert steady_start(values) == 300


@pytest.mark.parametrize("n", [0, 1, 49])
def test_a_few_frames_settle_nothing(n: int) -> None:
    assert steady_start(steady(n)) == n


def test_drift_is_the_last_third_over_the_first() -> None:
    values = steady(900) * np.linspace(1, 1.3, 900)
    estimate = drift_estimate(values, np.random.default_rng(0))
    assert estimate is not None
    assert estimate.value == pytest.approx(values[600:].mean() / values[:300].mean() - 1)
    assert 0.15 < estimate.low < estimate.value < estimate.high < 0.25


def test_a_steady_run_does_not_drift() -> None:
    held = 0
    for seed in range(60):
        estimate = drift_estimate(steady(300, seed), np.random.default_rng(0))
        assert estimate is not None
        held += estimate.low <= 0 <= estimate.high
    assert held >= 50


def test_thirds_of_a_few_frames_are_not_compared() -> None:
    assert drift_estimate(steady(59), np.random.default_rng(0)) is None
    assert drift_estimate(steady(60), np.random.default_rng(0)) is not None
