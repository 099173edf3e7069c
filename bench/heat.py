"""Whether the board's temperature had settled, and when: a soak is worth its time only from then on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.energy.trace import Trace
from bench.summary import HeatSummary

_NANOSECONDS_PER_S = 1e9
# Thermometers count in steps of 0.5 or 1 °C and jump between two of them: medians of half a minute do not.
WINDOW_S = 30.0
# Over less than five minutes, those steps look like a slope, or hide one.
FEWEST_WINDOWS = 10
SLOPE_LIMIT_C_PER_MIN = 0.1
CHANGE_LIMIT_C = 1.0
SPREAD_LIMIT_C = 1.5


def summarise_heat(traces: Mapping[str, Trace], run_ns: tuple[int, int]) -> HeatSummary | None:
    """The zone that is hottest at the end of the run, first measured frame to last; None without a thermometer."""
    zones = {name: each for name, trace in traces.items() if (each := _within(trace, run_ns)) is not None}
    if not zones:
        return None
    name = max(zones, key=lambda name: float(zones[name][1][-1]))
    times_s, celsius = zones[name]
    steady_s = steady_since(times_s, celsius)
    steady = celsius[times_s >= steady_s] if steady_s is not None else celsius[:0]
    return HeatSummary(
        zone=name.removeprefix("thermal/"),
        start_c=float(celsius[0]),
        end_c=float(celsius[-1]),
        highest_c=float(celsius.max()),
        steady_after_s=steady_s,
        steady_c=float(steady.mean()) if len(steady) else None,
        seconds=float(times_s[-1]),
    )


def steady_since(times_s: ArrayLike, values: ArrayLike) -> float | None:
    """From which second on a series (n,), times ascending, is steady until its end; None where it never is.

    Steady are at least five minutes in which the least-squares line changes by less than 0.1 °C a minute and 1 °C in
    all, and in which no half minute lies farther than 1.5 °C from the mean.
    """
    times, medians = _windows(np.asarray(times_s, np.float64), np.asarray(values, np.float64))
    for cut in range(len(medians) - FEWEST_WINDOWS + 1):
        minutes, rest = times[cut:] / 60, medians[cut:]
        slope = abs(float(np.polynomial.polynomial.polyfit(minutes, rest, 1)[1]))
        change = slope * float(minutes[-1] - minutes[0])
        spread = float(np.abs(rest - rest.mean()).max())
        if slope <= SLOPE_LIMIT_C_PER_MIN and change <= CHANGE_LIMIT_C and spread <= SPREAD_LIMIT_C:
            return max(0.0, float(times[cut]) - WINDOW_S / 2)
    return None


def _within(trace: Trace, run_ns: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Seconds since the run's start, and degrees; None where this is no thermometer, or it said nothing."""
    inside = (trace.times_ns >= run_ns[0]) & (trace.times_ns <= run_ns[1]) & np.isfinite(trace.values)
    if trace.kind != "celsius" or not inside.any():
        return None
    return (trace.times_ns[inside] - run_ns[0]) / _NANOSECONDS_PER_S, trace.values[inside]


def _windows(
    times_s: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The middle of every half minute that holds a value (m,), and the median of its values (m,)."""
    window = (times_s // WINDOW_S).astype(np.int64)
    kinds = np.unique(window)
    medians = np.array([float(np.median(values[window == kind])) for kind in kinds], np.float64)
    return kinds.astype(np.float64) * WINDOW_S + WINDOW_S / 2, medians
