"""What one sensor said over time, and the energy between any two moments of it: pure, for power and for counters.

Power is taken as linear from one reading to the next, energy counters give their difference and are taken as linear
inside a step.  What was not measured stays unknown: an interval that touches a gap has no energy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.boards.power import MOST_WATTS

Nanoseconds = NDArray[np.int64]
Values = NDArray[np.float64]

NANOSECONDS_PER_S = 1e9
MOST_MILLIWATTS = MOST_WATTS * 1000
# An unloaded rail reads a little below 0; more than this is no power.
LEAST_MILLIWATTS = -1000.0
# What a sensor of this kind can say; the readings themselves stay in the file.
_PLAUSIBLE = {"power": (LEAST_MILLIWATTS, MOST_MILLIWATTS), "celsius": (-100.0, 250.0), "kilohertz": (0.0, 1e8)}

# Readings this much farther apart than those around them leave a gap, unless it is shorter than the power takes to
# change: a sampler on a busy machine is late now and then.
LATE = 5.0
SHORTEST_GAP_NS = 250_000_000
STILL_NS = 500_000_000
_AROUND = 4


@dataclass(frozen=True, slots=True)
class Trace:
    """Readings in time order: milliwatts, millijoules, degrees or kilohertz by `kind`; NaN where there was none.

    `failed` readings could not be had, `garbage` ones were none that a sensor of the kind can give.
    """

    kind: str
    times_ns: Nanoseconds
    values: Values
    failed: int = 0
    garbage: int = 0

    @classmethod
    def of(cls, kind: str, times_ns: Nanoseconds, values: Values) -> Trace:
        """The trace of readings (n,) as they were written down."""
        times_ns, first = np.unique(times_ns, return_index=True)
        values = values[first].astype(np.float64)
        failed = ~np.isfinite(values)
        low, high = _PLAUSIBLE.get(kind, (0.0, np.inf))
        garbage = ~failed & ~((values >= low) & (values <= high))
        values[failed | garbage] = np.nan
        return cls(kind, times_ns, values, int(failed.sum()), int(garbage.sum()))

    @property
    def period_ns(self) -> float | None:
        """The time from one reading to the next, as a rule; None below two readings."""
        return float(np.median(np.diff(self.times_ns))) if len(self.times_ns) > 1 else None


@dataclass(frozen=True, slots=True)
class EnergyCurve:
    """Millijoules since the first reading, at every good reading (n,); `known` (n - 1,) says where it is one curve.

    `power_mw` (n,) bends the curve between the readings of a power sensor; for a counter it is straight there.
    """

    times_ns: Nanoseconds
    energy_mj: Values
    known: NDArray[np.bool_]
    power_mw: Values | None

    @classmethod
    def of(cls, trace: Trace, *, never_still: bool = False) -> EnergyCurve:
        """The curve of a trace of power or of an energy counter.

        `never_still` says that a counter which stands still for half a second has failed: it is that of a whole machine
        or processor, not of a part that may be switched off.
        """
        good = np.flatnonzero(np.isfinite(trace.values))
        times_ns, values = trace.times_ns[good], trace.values[good]
        span_s = np.diff(times_ns) / NANOSECONDS_PER_S
        # A reading that failed in between may have hidden a reset of the counter, so it is a gap for both kinds.
        known = np.diff(good) == 1
        if trace.kind == "energy":
            steps = np.diff(values)
            # The reader allows a millisecond, as a counter has steps of its own.
            known &= (steps >= 0) & (steps <= MOST_MILLIWATTS * (span_s + 1e-3))
            if never_still:
                known &= ~_still(times_ns, values)
        else:
            steps = (values[1:] + values[:-1]) / 2 * span_s
            known &= ~_late(np.diff(times_ns))
        energy_mj = np.concatenate(([0.0], np.cumsum(np.where(known, steps, 0.0))))[: len(values)]
        return cls(times_ns, energy_mj, known, None if trace.kind == "energy" else values)

    def between(self, edges_ns: Nanoseconds) -> Values:
        """Millijoules (m,) between neighbours of the ascending moments (m + 1,); NaN where any of it is unknown."""
        energy_mj = np.diff(self._at(edges_ns))
        energy_mj[self.missing_ns(edges_ns) > 0] = np.nan
        return energy_mj

    def missing_ns(self, edges_ns: Nanoseconds) -> Nanoseconds:
        """Nanoseconds (m,) between neighbours of the moments (m + 1,) of which nothing is known."""
        if len(self.times_ns) < 2:
            return np.diff(edges_ns)
        spans = np.where(self.known, 0, np.diff(self.times_ns))
        before = np.concatenate(([0], np.cumsum(spans)))
        index, into_ns = self._place(edges_ns)
        inside = before[index] + np.where(self.known[index], 0, into_ns)
        # Before the first reading and after the last one time goes by unmeasured.
        early = np.minimum(edges_ns - self.times_ns[0], 0)
        late = np.maximum(edges_ns - self.times_ns[-1], 0)
        missing: Nanoseconds = np.diff(inside + early + late)
        return missing

    def _place(self, at_ns: Nanoseconds) -> tuple[NDArray[np.intp], Nanoseconds]:
        """The step of each moment, and how far into it; outside, the nearest end."""
        index = np.clip(np.searchsorted(self.times_ns, at_ns, side="right") - 1, 0, len(self.times_ns) - 2)
        inside = np.clip(at_ns, self.times_ns[0], self.times_ns[-1])
        return index, inside - self.times_ns[index]

    def _at(self, at_ns: Nanoseconds) -> Values:
        if len(self.times_ns) < 2:
            return np.zeros(len(at_ns))
        index, into_ns = self._place(at_ns)
        into_s = into_ns / NANOSECONDS_PER_S
        share = into_ns / np.diff(self.times_ns)[index]
        if self.power_mw is None:
            step_mj = share * np.diff(self.energy_mj)[index]
        else:
            begin, end = self.power_mw[index], self.power_mw[index + 1]
            step_mj = into_s * (begin + (end - begin) * share / 2)
        at: Values = self.energy_mj[index] + np.where(self.known[index], step_mj, 0.0)
        return at


def sum_between(curves: Sequence[EnergyCurve], edges_ns: Nanoseconds) -> Values:
    """Millijoules (m,) of several curves together between neighbours of the moments; NaN where one is unknown."""
    energy_mj: Values = np.sum([curve.between(edges_ns) for curve in curves], axis=0)
    return energy_mj


def _still(times_ns: Nanoseconds, values: Values) -> NDArray[np.bool_]:
    """Which steps (n - 1,) belong to a time of half a second or more in which the counter did not move."""
    if len(values) < 2:
        return np.zeros(0, np.bool_)
    moved = np.diff(values) != 0
    stretch = np.concatenate(([0], np.cumsum(moved)))
    first = np.flatnonzero(np.concatenate(([True], moved)))
    last = np.append(first[1:] - 1, len(values) - 1)
    still: NDArray[np.bool_] = ~moved & (times_ns[last] - times_ns[first] >= STILL_NS)[stretch[:-1]]
    return still


def _late(steps_ns: Nanoseconds) -> NDArray[np.bool_]:
    """Which steps (n,) are far longer than those around them."""
    if len(steps_ns) == 0:
        return np.zeros(0, np.bool_)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(steps_ns, _AROUND, mode="symmetric"), 2 * _AROUND + 1)
    late: NDArray[np.bool_] = steps_ns > np.maximum(LATE * np.median(around, axis=1), SHORTEST_GAP_NS)
    return late
