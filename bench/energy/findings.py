"""What speaks against a figure of energy, or says why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.energy.records import Meter, PowerRecord
from bench.energy.trace import NANOSECONDS_PER_S, EnergyCurve, Trace, Values
from bench.statistics.bootstrap import FEWEST_FRAMES
from bench.summary import Estimate, Finding

# Blocks of frames with a gap are left out; where they are many, the rest no longer stands for the run.
MISSING_LIMIT = 0.05
# What holds up the sampler may hold up the frames as well; then those without a gap are the quick ones.
UNLIKE_LIMIT = 0.10
# A lone reading this many times those beside it is hardly what the board drew.
LONE_RATIO = 10.0
LONE_ENERGY_LIMIT = 0.01
IDLE_UNCERTAINTY_LIMIT = 0.10
CPU_SHARE_LIMIT = 0.01


def judge_scope(record: PowerRecord, whole: Sequence[Meter]) -> Iterator[Finding]:
    """What is measured, and of what."""
    if record.problem is not None:
        yield Finding(
            "power was not sampled to the end",
            record.problem,
            "energy is that of the frames before; look at the sensors with `edgebench devices`",
        )
    elif not record.meters:
        yield Finding(
            "energy was not measured",
            "no sensor of this machine says what it draws",
            "see `edgebench devices` for what is missing and why",
            "note",
        )
    elif not whole:
        yield Finding(
            "energy has no total",
            f"the rails of {', '.join(meter.name for meter in record.meters)} are parts of an unknown whole",
            "read them one by one",
            "note",
        )
    elif all(meter.scope != "board" for meter in whole):
        yield Finding(
            "energy is not that of the whole machine",
            f"it is that of the {' and the '.join(dict.fromkeys(meter.scope for meter in whole))}",
            "measure at the plug for the rest: memory, disks, cooling, losses of the power supply",
            "note",
        )


def judge_readings(
    record: PowerRecord, curves: Mapping[str, EnergyCurve], of_total: Set[str], run_ns: tuple[int, int] | None
) -> Iterator[Finding]:
    """Readings that failed, were no power, or stand alone; and what the sampler itself took."""
    if run_ns is None:
        return
    for name, curve in curves.items():
        # What befalls a rail of which the total does not consist is worth knowing, and harms no figure but its own.
        for finding in (*_gaps(name, record.traces[name], curve, run_ns), *_lone(name, record.traces[name], run_ns)):
            yield finding if name in of_total else replace(finding, severity="note")
    share = _share_of_a_core(record.traces.get("sampler/cpu"), run_ns)
    if share is not None and share > CPU_SHARE_LIMIT:
        yield Finding(
            "sampling took time",
            f"{share:.1%} of one core (limit {CPU_SHARE_LIMIT:.0%})",
            "leave the sampler a core of its own: fewer --threads",
            "note",
        )


def judge_baseline(idle_ns: tuple[int, int] | None, idle: Estimate | None, mean: Estimate | None) -> Iterator[Finding]:
    """Whether the idle baseline is one."""
    if idle is None:
        yield Finding(
            "there is no idle baseline",
            "none was measured" if idle_ns is None else f"{_seconds(idle_ns):.1f} s are too few readings",
            "the energy above idle is left out: give it time, --idle 5s",
            "note",
        )
        return
    uncertainty = (idle.high - idle.low) / (2 * abs(idle.value)) if idle.value else 0.0
    if mean is not None and idle.value > mean.value:
        yield Finding(
            "the idle baseline was not idle",
            f"{idle.value:,.0f} mW before the run, {mean.value:,.0f} mW during it",
            "stop other programs, let the board come to rest, and run again",
        )
    elif uncertainty > IDLE_UNCERTAINTY_LIMIT:
        yield Finding(
            "the idle baseline is uncertain",
            f"{idle.value:,.0f} mW, known to ±{uncertainty:.0%} (limit ±{IDLE_UNCERTAINTY_LIMIT:.0%})",
            "stop other programs, or measure it longer: --idle 20s",
            "note",
        )


def judge_lost_frames(frame_ns: Values, known: NDArray[np.bool_]) -> Finding | None:
    """Why frames whose energy is known do not stand for the others: blocks (m,) by how long their frames took."""
    if known.all() or not known.any():
        return None
    of_known, of_lost = float(frame_ns[known].mean()), float(frame_ns[~known].mean())
    if abs(of_known / float(frame_ns.mean()) - 1) <= UNLIKE_LIMIT:
        return None
    return Finding(
        "the energy of a frame is not known",
        f"readings are missing where frames took {of_lost / 1e6:.1f} ms, the others took {of_known / 1e6:.1f} ms: they "
        f"do not stand for these {float(1 - known.mean()):.0%} of the frames",
        "leave the sampler a core of its own, and stop other programs",
    )


def too_short(frames: int, run_ns: tuple[int, int], period_ns: float) -> Finding:
    """Why a run has sensors, frames and no energy of a frame."""
    needed_s = FEWEST_FRAMES * period_ns / NANOSECONDS_PER_S
    if not np.isfinite(needed_s):
        return Finding("energy was not measured", "its sensors gave no reading", "look at them: `edgebench devices`")
    seen, needed = f"{frames} frames in {_seconds(run_ns):.1f} s", f"{FEWEST_FRAMES} frames over {needed_s:.1f} s"
    return Finding(
        "the energy of a frame is not known",
        f"{seen}; it takes {needed} without gaps",
        f"measure longer: --duration {max(10, round(4 * needed_s))}s",
        "note",
    )


def _gaps(name: str, trace: Trace, curve: EnergyCurve, run_ns: tuple[int, int]) -> Iterator[Finding]:
    missing_s = float(curve.missing_ns(np.array(run_ns))[0]) / NANOSECONDS_PER_S
    if not (missing_s or trace.failed or trace.garbage):
        return
    share = missing_s / _seconds(run_ns) if _seconds(run_ns) else 0.0
    counts = [f"{trace.failed} readings failed"] if trace.failed else []
    counts += [f"{trace.garbage} were no power"] if trace.garbage else []
    counts += [] if counts or trace.kind == "power" else ["the counter stood still, leapt or fell"]
    yield Finding(
        f"{name}: readings are missing",
        ", ".join(
            [f"nothing is known of {missing_s:.2f} s of the run ({share:.1%}, limit {MISSING_LIMIT:.0%})", *counts]
        )
        + "; frames in the gaps are left out",
        "run again; if it stays, check the sensor with `edgebench devices`",
        "warning" if share >= MISSING_LIMIT else "note",
    )


def _lone(name: str, trace: Trace, run_ns: tuple[int, int]) -> Iterator[Finding]:
    """A jump for one reading may be garbage or a burst; it is kept, and said how much of the energy hangs on it."""
    within = (trace.times_ns >= run_ns[0]) & (trace.times_ns <= run_ns[1])
    values = trace.values[within]
    if trace.kind != "power" or np.isfinite(values).sum() < FEWEST_FRAMES:
        return
    beside = np.fmax(np.abs(values[:-2]), np.abs(values[2:]))
    lone = values[1:-1][values[1:-1] > LONE_RATIO * np.fmax(beside, np.nanmedian(np.abs(values)))]
    share = float(np.sum(lone) / np.nansum(np.abs(values))) if len(lone) else 0.0
    if share >= LONE_ENERGY_LIMIT:
        yield Finding(
            f"{name}: readings jump",
            f"{len(lone)} readings up to {lone.max():,.0f} mW stand alone where {np.nanmedian(values):,.0f} mW are "
            f"usual, with {share:.0%} of the energy (limit {LONE_ENERGY_LIMIT:.0%})",
            "if nothing on the board draws so much, the sensor is at fault: leave these figures out",
        )


def _share_of_a_core(trace: Trace | None, run_ns: tuple[int, int]) -> float | None:
    """What the sampler took of a core during the run."""
    if trace is None:
        return None
    within = np.isfinite(trace.values) & (trace.times_ns >= run_ns[0]) & (trace.times_ns <= run_ns[1])
    times, spent = trace.times_ns[within], trace.values[within]
    return float((spent[-1] - spent[0]) / (times[-1] - times[0])) if len(times) > 1 else None


def _seconds(span_ns: tuple[int, int]) -> float:
    return (span_ns[1] - span_ns[0]) / NANOSECONDS_PER_S
