"""When a temperature has settled, held against curves whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.energy.trace import Trace
from bench.heat import steady_since, summarise_heat

SECOND_NS = 1_000_000_000


def thermometer(celsius: np.ndarray, step_c: float = 1.0) -> np.ndarray:
    """Readings of a thermometer that counts in steps."""
    return np.round(celsius / step_c) * step_c


@settings(deadline=None, max_examples=60)
@given(st.floats(5, 50), st.floats(60, 600), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 2**32 - 1), st.booleans())
def test_a_board_that_warms_up_is_steady_when_little_is_left_to_come(rise_c, tau_s, step_c, seed, falls):
    noise = np.random.default_rng(seed).normal(0, 0.3, 7200)
    times_s = np.arange(7200.0)
    celsius = 70 - (-1 if falls else 1) * rise_c * np.exp(-times_s / tau_s)
    since_s = steady_since(times_s, thermometer(celsius + noise, step_c) if step_c else celsius + noise)
    assert since_s is not None
    left_c = rise_c * math.exp(-since_s / tau_s)
    assert left_c < 2.5
    # Not long after half a degree was left.
    assert since_s <= max(0.0, tau_s * math.log(rise_c / 0.3)) + 60


def test_a_temperature_that_never_changes_is_steady_at_once() -> None:
    assert steady_since(np.arange(1200), np.full(1200, 55.0)) == 0.0


@pytest.mark.parametrize("slope_c_per_min", [-0.3, -0.15, 0.15, 0.3, 3.0])
def test_a_ramp_is_never_steady(slope_c_per_min: float) -> None:
    times_s = np.arange(3600.0)
    assert steady_since(times_s, thermometer(50 + slope_c_per_min * times_s / 60)) is None


def test_a_board_that_cycles_is_not_steady() -> None:
    times_s = np.arange(3600.0)
    assert steady_since(times_s, 60 + 4 * np.sin(times_s / 95)) is None


@pytest.mark.parametrize("seconds", [0, 1, 60, 269])
def test_what_is_too_short_to_say_is_none(seconds: int) -> None:
    assert steady_since(np.arange(seconds), np.full(seconds, 50.0)) is None


def test_a_spike_is_no_unrest() -> None:
    celsius = np.full(1200, 60.0)
    celsius[500:503] = 95
    assert steady_since(np.arange(1200), celsius) == 0.0


def trace(celsius: np.ndarray, kind: str = "celsius", start_s: int = 0) -> Trace:
    times_ns = (np.arange(len(celsius)) + start_s) * SECOND_NS
    return Trace.of(kind, times_ns, celsius)


def test_the_hottest_zone_is_named_and_the_time_before_the_run_left_out() -> None:
    warming = 71 - 26 * np.exp(-np.arange(3000.0) / 200)
    traces = {
        "thermal/cpu-thermal": trace(np.concatenate((np.full(100, 20.0), warming))),
        "thermal/gpu-thermal": trace(np.full(3100, 60.0)),
        "board/VDD_IN": trace(np.full(3100, 9999.0), "power"),
    }
    heat = summarise_heat(traces, (100 * SECOND_NS, 3099 * SECOND_NS))
    assert heat is not None
    assert (heat.zone, round(heat.start_c), round(heat.end_c), heat.seconds) == ("cpu-thermal", 45, 71, 2999.0)
    assert heat.steady_after_s is not None
    assert 400 < heat.steady_after_s < 1000
    assert heat.steady_c == pytest.approx(71, abs=0.5)


def test_without_a_thermometer_there_is_no_heat() -> None:
    assert summarise_heat({"rail": trace(np.ones(10), "power")}, (0, 9 * SECOND_NS)) is None
    assert summarise_heat({"thermal/x": trace(np.full(10, np.nan))}, (0, 9 * SECOND_NS)) is None
