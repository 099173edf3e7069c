"""From what the sensors said and when the frames ran to the energy of a frame: pure, so that a report repeats it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bench.energy.findings import judge_baseline, judge_lost_frames, judge_readings, judge_scope, too_short
from bench.energy.paths import energy_by_path
from bench.energy.records import Meter, PowerRecord
from bench.energy.summary import EnergySummary, PathEnergy, RailSummary
from bench.energy.trace import NANOSECONDS_PER_S, EnergyCurve, Nanoseconds, Values, sum_between
from bench.statistics.bootstrap import FEWEST_FRAMES, mean_estimate, resampling_generator
from bench.summary import Estimate

MILLIJOULES_PER_WATT_HOUR = 3.6e6
# Blocks of frames span this many readings where there are enough, and so share little with their neighbours.
PERIODS_A_BLOCK = 2
MOST_WINDOWS = 1000


def summarise_energy(
    record: PowerRecord, starts_ns: ArrayLike, ends_ns: ArrayLike, paths: Sequence[str] | None = None
) -> EnergySummary:
    """The energy of frames that began and ended at these moments (n,) of CLOCK_MONOTONIC, in the order of their starts.

    `paths` names the path of each frame ("11010111", "1101 exit 2"; "" where it failed); None leaves paths out, as
    where two networks alternate.  Frames follow each other: the energy of a frame lasts until the next one begins.
    """
    starts, ends = np.asarray(starts_ns, np.int64), np.asarray(ends_ns, np.int64)
    rails = tuple(name for meter in record.meters for name in meter.rails)
    meters = whole_meters(record.meters)
    of_total = {name for meter in meters for name in meter.total}
    curves = {
        name: EnergyCurve.of(record.traces[name], never_still=name in of_total)
        for name in rails
        if name in record.traces
    }
    total = [curves[name] for meter in meters for name in meter.total if name in curves]
    findings = list(judge_scope(record, meters))
    run_ns = (int(starts[0]), int(ends[-1])) if len(starts) else None
    findings += judge_readings(record, curves, of_total, run_ns)
    energy = net = mean = idle = None
    by_path: list[PathEnergy] = []
    if total and run_ns is not None:
        period_ns = max(record.traces[name].period_ns or math.inf for meter in meters for name in meter.total)
        edges, size = frame_blocks(starts, ends, period_ns)
        energy_mj = sum_between(total, edges)
        unlike = judge_lost_frames(np.diff(edges) / size, np.isfinite(energy_mj))
        energy = None if unlike else _mean(energy_mj / size)
        mean = mean_power(total, run_ns, period_ns)
        idle = mean_power(total, record.idle_ns, period_ns)
        net = None if idle is None else _net(energy, idle, energy_mj, edges, size)
        if energy is None:
            findings.append(unlike or too_short(len(starts), run_ns, period_ns))
        findings += judge_baseline(record.idle_ns, idle, mean)
        if paths is not None and energy is not None:
            by_path, reason = energy_by_path(total, starts, ends, paths, period_ns, idle)
            findings += reason
    return EnergySummary(
        scope=" + ".join(dict.fromkeys(meter.scope for meter in meters)) or None,
        frames=len(starts),
        energy_mj=energy,
        net_mj=net,
        frames_per_watt_hour=_per_watt_hour(energy),
        mean_mw=mean,
        idle_mw=idle,
        rails=[_rail(name, curves[name], record, run_ns, in_total=name in of_total) for name in curves],
        paths=by_path,
        findings=findings,
    )


def whole_meters(meters: Sequence[Meter]) -> list[Meter]:
    """Those whose sum is what is measured: the first of the whole board, else one of every part that has a total."""
    with_total = [meter for meter in meters if meter.total]
    boards = [meter for meter in with_total if meter.scope == "board"]
    return boards[:1] or with_total


def _rail(
    name: str, curve: EnergyCurve, record: PowerRecord, run_ns: tuple[int, int] | None, *, in_total: bool
) -> RailSummary:
    mean, idle = (mean_power([curve], span, record.traces[name].period_ns) for span in (run_ns, record.idle_ns))
    return RailSummary(name, in_total, mean, idle)


def frame_blocks(starts: Nanoseconds, ends: Nanoseconds, period_ns: float) -> tuple[Nanoseconds, int]:
    """The moments (m + 1,) between m blocks of equally many frames, and how many those are.

    A block spans two readings where the run is long enough for 20 such blocks, else one; a run too short for that has
    fewer blocks.  Frames that fill no block at the end are left out.
    """
    n = len(starts)
    frame_ns = (ends[-1] - starts[0]) / n
    wanted = math.ceil(min(PERIODS_A_BLOCK * period_ns / frame_ns, n))
    least = math.ceil(min(period_ns / frame_ns, n))
    size = max(1, least, min(wanted, n // FEWEST_FRAMES))
    blocks = n // size
    edges = starts[: blocks * size + 1 : size]
    # The last block ends where the frame behind it begins, or the run ends.
    return (edges if len(edges) > blocks else np.append(edges, ends[-1])), size


def mean_power(
    curves: Sequence[EnergyCurve], span_ns: tuple[int, int] | None, period_ns: float | None
) -> Estimate | None:
    """Milliwatts of the curves together over a span of time, or None where it holds fewer than 20 readings."""
    if span_ns is None or period_ns is None or not math.isfinite(period_ns):
        return None
    begin, end = span_ns
    readings = (end - begin) / period_ns
    windows = int(min(max(readings / PERIODS_A_BLOCK, min(readings, FEWEST_FRAMES)), MOST_WINDOWS))
    if windows < 1:
        return None
    edges = np.linspace(begin, end, windows + 1).astype(np.int64)
    return _mean(sum_between(curves, edges) / (np.diff(edges) / NANOSECONDS_PER_S))


def _mean(values: ArrayLike) -> Estimate | None:
    """The mean of what is known of a series in time order."""
    series = np.asarray(values, np.float64)
    return mean_estimate(series[np.isfinite(series)], resampling_generator())


def _net(energy: Estimate | None, idle: Estimate, energy_mj: Values, edges: Nanoseconds, size: int) -> Estimate | None:
    """The energy of a frame without that of the idle machine; the baseline's own uncertainty widens the interval."""
    if energy is None:
        return None
    span_s = np.diff(edges) / NANOSECONDS_PER_S
    net = _mean((energy_mj - idle.value * span_s) / size)
    assert net is not None
    frame_s = float(span_s[np.isfinite(energy_mj)].mean()) / size
    low = net.value - math.hypot(net.value - net.low, frame_s * (idle.high - idle.value))
    high = net.value + math.hypot(net.high - net.value, frame_s * (idle.value - idle.low))
    return Estimate(net.value, low, high, net.n)


def _per_watt_hour(energy: Estimate | None) -> Estimate | None:
    if energy is None or energy.low <= 0:
        return None
    value, low, high = (MILLIJOULES_PER_WATT_HOUR / each for each in (energy.value, energy.high, energy.low))
    return Estimate(value, low, high, energy.n)
