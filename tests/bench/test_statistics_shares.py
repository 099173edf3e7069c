"""Proportions and entropy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, entropy

from bench.statistics.entropy import entropy_bits
from bench.statistics.proportion import proportion_estimate, wilson_interval


@settings(deadline=None)
@given(st.integers(1, 5000), st.data())
def test_the_interval_is_wilsons(n: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, n))
    expected = binomtest(right, n).proportion_ci(method="wilson")
    low, high = wilson_interval(right / n, n)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= low <= right / n <= high <= 1


def test_independent_outcomes_count_in_full() -> None:
    outcomes = np.random.default_rng(1).random(2000) < 0.9
    estimate = proportion_estimate(outcomes)
    assert estimate is not None
    low, high = wilson_interval(float(outcomes.mean()), 2000)
    assert estimate.n == 2000
    assert estimate.high - estimate.low == pytest.approx(high - low, rel=0.15)


def test_thirty_frames_of_one_sign_are_one_sign() -> None:
    signs = np.random.default_rng(2).random(200) < 0.8
    estimate = proportion_estimate(np.repeat(signs, 30))
    assert estimate is not None
    low, high = wilson_interval(float(signs.mean()), 200)
    assert estimate.high - estimate.low == pytest.approx(high - low, rel=0.3)


def test_all_right_is_not_certain() -> None:
    estimate = proportion_estimate([True] * 100)
    assert estimate is not None
    assert (estimate.value, estimate.high) == (1, 1)
    assert estimate.low == pytest.approx(0.963, abs=0.001)


def test_no_outcome_is_no_share() -> None:
    assert proportion_estimate([]) is None


@settings(deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1).filter(any))
def test_entropy_is_that_of_the_shares(counts: list[int]) -> None:
    assert entropy_bits(counts) == pytest.approx(entropy(counts, base=2), abs=1e-9)


@pytest.mark.parametrize(("counts", "bits"), [([], 0), ([7], 0), ([7, 0], 0), ([3, 3], 1), ([2] * 256, 8)])
def test_equal_outcomes_have_the_logarithm_of_their_number(counts: list[int], bits: float) -> None:
    assert entropy_bits(counts) == pytest.approx(bits)


def test_the_bias_is_the_one_stated() -> None:
    rng = np.random.default_rng(3)
    missing = [8 - entropy_bits(np.bincount(rng.integers(0, 256, 4000))) for _ in range(50)]
    assert np.mean(missing) == pytest.approx(255 / (2 * 4000 * np.log(2)), rel=0.05)
