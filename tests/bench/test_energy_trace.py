"""Integrals of sensors: closed forms, brute force, and what must hold for any samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.energy.trace import EnergyCurve, Trace, sum_between
from devices.boards.power import EnergyCounter

S = 1_000_000_000
# Steps of 1 to 4 ms: none is late beside the others.
STEPS = st.lists(st.integers(1_000_000, 4_000_000), min_size=2, max_size=40)


def trace(times_ns: object, values: object, kind: str = "power") -> Trace:
    return Trace.of(kind, np.asarray(times_ns, np.int64), np.asarray(values, np.float64))


def curve(times_ns: object, values: object, kind: str = "power") -> EnergyCurve:
    return EnergyCurve.of(trace(times_ns, values, kind))


def edges(*moments_ns: float) -> np.ndarray:
    return np.array(moments_ns, np.int64)


def test_a_sine_has_its_integral() -> None:
    times = np.arange(0, 10 * S, 5_000_000)
    power = 5000 + 2000 * np.sin(2 * math.pi * times / S)
    a, b = 0.123, 7.777
    closed = 5000 * (b - a) + 2000 / (2 * math.pi) * (math.cos(2 * math.pi * a) - math.cos(2 * math.pi * b))
    assert curve(times, power).between(edges(a * S, b * S))[0] == pytest.approx(closed, rel=1e-6)


def test_a_step_at_a_frame_start_has_its_integral() -> None:
    # 2 W, and 10 W from second 1 on; the step itself takes one sampling period of 1 ms.
    times = np.arange(0, 2 * S, 1_000_000)
    power = np.where(times < S, 2000.0, 10_000.0)
    energy = curve(times, power).between(edges(0, S, 1.5 * S))
    assert energy == pytest.approx([2000 + 0.0005 * 8000, 5000], rel=1e-9)


@given(STEPS, st.floats(0, 1), st.floats(0, 1), st.integers(-900, 9000), st.integers(0, 10**6))
def test_linear_power_is_exact_whenever_it_is_sampled(
    steps: list[int], left: float, right: float, start_mw: int, slope: int
) -> None:
    times = np.concatenate(([0], np.cumsum(steps)))
    seconds = times / S
    a, b = sorted((int(left * times[-1]), int(right * times[-1])))
    closed = start_mw * (b - a) / S + slope * ((b / S) ** 2 - (a / S) ** 2) / 2
    measured = curve(times, start_mw + slope * seconds).between(edges(a, b))[0]
    assert measured == pytest.approx(closed, rel=1e-9, abs=1e-6)


@given(STEPS, st.data())
def test_the_energies_of_parts_add_up(steps: list[int], data: st.DataObject) -> None:
    times = np.concatenate(([0], np.cumsum(steps)))
    kind = data.draw(st.sampled_from(["power", "energy"]))
    values = np.array(data.draw(st.lists(st.floats(0, 9000), min_size=len(times), max_size=len(times))))
    values = np.sort(values) / 1e3 if kind == "energy" else values
    moments = np.array(sorted(data.draw(st.lists(st.integers(0, int(times[-1])), min_size=3, max_size=9))), np.int64)
    of = curve(times, values, kind)
    parts, whole = of.between(moments), of.between(moments[[0, -1]])[0]
    assert float(np.sum(parts)) == pytest.approx(whole, rel=1e-9, abs=1e-9)
    assert sum_between([of, of], moments) == pytest.approx(2 * parts)


@given(STEPS, st.data())
def test_power_is_that_of_brute_force(steps: list[int], data: st.DataObject) -> None:
    """Gaps included: a moment is known where both readings around it are."""
    times = np.concatenate(([0], np.cumsum(steps)))
    values = np.array(
        data.draw(st.lists(st.sampled_from([1.0, 50.0, 9000.0, math.nan]), min_size=len(times), max_size=len(times)))
    )
    a, b = sorted(data.draw(st.tuples(st.integers(-(10**6), int(times[-1])), st.integers(0, int(times[-1]) + 10**6))))
    cells = np.arange(a, b, 10_000)
    middle = np.minimum(cells + 5_000, b)
    index = np.clip(np.searchsorted(times, middle, side="right") - 1, 0, len(times) - 2)
    known = np.isfinite(values[index] + values[index + 1]) & (middle >= 0) & (middle <= times[-1])
    power = np.interp(middle, times, values)
    of = curve(times, values)
    missing = int(of.missing_ns(edges(a, b))[0])
    assert missing == pytest.approx(10_000 * int((~known).sum()), abs=10_000 * (2 + int(np.isnan(values).sum()) * 2))
    energy = of.between(edges(a, b))[0]
    if missing:
        assert math.isnan(energy)
    else:
        assert energy == pytest.approx(float(np.sum(power * np.diff(np.append(cells, b))) / S), rel=1e-2, abs=0.2)


def test_a_counter_that_wraps_goes_on() -> None:
    """262,143 uJ is where this one starts again; 7 W are drawn throughout."""
    clock = iter(np.arange(0, 1, 0.01))
    raw = iter((np.arange(100) * 70_000 + 200_000) % 262_144)

    class Register:
        def read(self) -> float | None:
            return float(next(raw))

        def close(self) -> None:
            pass

    counter = EnergyCounter(Register(), 1e-3, 262_144, lambda: float(next(clock)))
    of = curve(np.arange(100) * 10_000_000, [counter.read() for _ in range(100)], "energy")
    assert of.between(edges(0.105 * S, 0.905 * S))[0] == pytest.approx(7000 * 0.8)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("power", [5.0, 5.0, math.nan, 5.0, 5.0]),
        ("power", [5.0, 5.0, -1e6, 5.0, 5.0]),
        ("power", [5.0, 5.0, 1e9, 5.0, 5.0]),
        ("energy", [1.0, 2.0, math.nan, 4.0, 5.0]),
        ("energy", [1.0, 2.0, -3.0, 4.0, 5.0]),
    ],
)
def test_what_is_no_reading_leaves_a_gap_on_both_sides(kind: str, values: list[float]) -> None:
    times = np.arange(5) * 1_000_000
    of = curve(times, values, kind)
    assert np.isnan(of.between(times)).tolist() == [False, True, True, False]
    assert of.missing_ns(times).tolist() == [0, 1_000_000, 1_000_000, 0]
    assert math.isnan(of.between(edges(0, 4_000_000))[0])


def test_a_counter_that_falls_or_leaps_leaves_a_gap() -> None:
    times = np.arange(6) * 1_000_000
    assert np.isnan(curve(times, [1, 2, 1, 2, 9e9, 9e9 + 1], "energy").between(times)).tolist() == [
        False,
        True,
        False,
        True,
        False,
    ]


def test_time_before_the_first_and_after_the_last_reading_is_unknown() -> None:
    of = curve(np.arange(1, 5) * 1_000_000, [5.0] * 4)
    assert of.missing_ns(edges(0, 1_500_000, 9_000_000)).tolist() == [1_000_000, 5_000_000]
    assert np.isnan(of.between(edges(0, 1_500_000))).all()


def test_a_sampler_that_slept_leaves_a_gap_and_one_that_slows_down_does_not() -> None:
    regular = np.arange(100) * 10_000_000
    slept = np.concatenate((regular, regular + regular[-1] + S))
    assert np.isnan(curve(slept, np.full(200, 5.0)).between(slept)).sum() == 1
    # Periods that double, and double again, as where the file must stay bounded.
    slower = np.cumsum(np.repeat([1, 2, 4, 8, 16, 32], 50)) * 100_000_000
    assert np.isfinite(curve(slower, np.full(300, 5.0)).between(slower)).all()


@pytest.mark.parametrize("readings", [0, 1])
def test_too_few_readings_know_nothing(readings: int) -> None:
    of = curve(np.arange(readings), np.ones(readings))
    assert np.isnan(of.between(edges(0, 5, 9))).all()
    assert of.missing_ns(edges(0, 5, 9)).tolist() == [5, 4]


def test_readings_out_of_order_or_twice_are_put_in_order() -> None:
    of = trace([3, 1, 2, 2], [30.0, 10.0, 20.0, 99.0])
    assert of.times_ns.tolist() == [1, 2, 3]
    assert of.values.tolist() == [10.0, 20.0, 30.0]
