"""The energy of each path, told apart by the mix of paths in blocks of time.

Sensors read ten to a few hundred times a second and average over what lies between, so hardly ever does a reading
belong to one frame.  But what a block of many readings took is the sum over paths of (frames of the path) x (energy of
the path), and least squares over blocks whose mixes differ gives the energies.  A block begins and ends at a reading,
where its energy is known best, and counts the frames at its ends by the share of their time.  Where the mixes hardly
differ the intervals are wide, and the path is left out with the reason.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.energy.summary import PathEnergy
from bench.energy.trace import NANOSECONDS_PER_S, EnergyCurve, Nanoseconds, Values, sum_between
from bench.statistics.bootstrap import FEWEST_FRAMES, resampling_generator
from bench.statistics.dependence import dependence
from bench.summary import Estimate, Finding

FEWEST_READINGS_A_BLOCK = 10
FRAMES_A_BLOCK = 10
FEWEST_BLOCKS_A_PATH = 10
# Longer blocks are better than more of these.
BLOCKS_A_PATH = 30
MOST_PATHS = 8
UNCERTAINTY_LIMIT = 0.20
# Beyond this condition number, one mix of paths is another by rounding.
WORST_CONDITION = 1e6
# Without an idle baseline, what the board draws between frames is unknown, and must be next to nothing.
LEAST_BUSY_SHARE = 0.98
RESAMPLES = 1000


def energy_by_path(
    total: Sequence[EnergyCurve],
    starts: Nanoseconds,
    ends: Nanoseconds,
    paths: Sequence[str],
    period_ns: float,
    idle: Estimate | None,
) -> tuple[list[PathEnergy], list[Finding]]:
    """The energies of the most frequent paths, and why others are left out; "" is the path of a failed frame."""
    counts = Counter(path for path in paths if path)
    names = [path for path, count in counts.most_common(MOST_PATHS) if count >= FEWEST_FRAMES]
    ends = np.minimum(ends, np.append(starts[1:], ends[-1]))
    busy = float((ends - starts).sum()) / float(ends[-1] - starts[0])
    if not names:
        return [], [_left_out("no path was taken often enough", f"{FEWEST_FRAMES} frames of one are needed")]
    if idle is None and busy < LEAST_BUSY_SHARE:
        return [], [_left_out("the frames leave pauses", "what is drawn in them takes an idle baseline", "--idle 5s")]
    columns = len(names) + (len(counts) > len(names))
    size = _readings_a_block(starts, ends, period_ns, columns)
    readings = total[0].times_ns
    edges = readings[(readings >= starts[0]) & (readings <= ends[-1])][::size]
    mix = _mix(edges, starts, ends, paths, names)
    energy_mj = sum_between(total, edges) - (0.0 if idle is None else idle.value) * _pauses_s(edges, starts, ends)
    known = np.isfinite(energy_mj)
    needed = FEWEST_BLOCKS_A_PATH * mix.shape[1]
    if int(known.sum()) < needed:
        needed_s = needed * size * period_ns / NANOSECONDS_PER_S
        what = "one path" if mix.shape[1] == 1 else f"{mix.shape[1]} paths"
        evidence = f"at a reading every {period_ns / 1e6:.0f} ms it takes {needed_s:.1f} s to know {what}"
        return [], [_left_out("the run is short", evidence, f"measure longer: --duration {math.ceil(1.2 * needed_s)}s")]
    estimates = _least_squares(mix[known], energy_mj[known])
    if any(curve.power_mw is not None for curve in total):
        mean_mj = float(energy_mj[known].sum() / mix[known].sum())
        estimates = [_with_shared_readings(estimate, mean_mj, size) for estimate in estimates]
    told = [
        PathEnergy(name, counts[name], estimate)
        for name, estimate in zip(names, estimates, strict=False)
        if estimate is not None and estimate.high - estimate.low <= 2 * UNCERTAINTY_LIMIT * estimate.value
    ]
    if len(told) == len(counts):
        return told, []
    reason = f"the others are rare, or mixed too evenly to be known to ±{UNCERTAINTY_LIMIT:.0%}"
    return told, [_left_out(f"{len(told)} of {len(counts)} paths", reason)]


def _readings_a_block(starts: Nanoseconds, ends: Nanoseconds, period_ns: float, paths: int) -> int:
    """How many readings make a block: as many as leave blocks enough, and several frames at least."""
    span_ns = float(ends[-1] - starts[0])
    least = max(FEWEST_READINGS_A_BLOCK, math.ceil(FRAMES_A_BLOCK * span_ns / len(starts) / period_ns))
    return max(least, int(span_ns / period_ns / (BLOCKS_A_PATH * paths)))


def _with_shared_readings(estimate: Estimate | None, mean_mj: float, size: int) -> Estimate | None:
    """Widened by what a sensor of power does to blocks: half a reading at each end is a neighbour's.

    The energies of paths come out closer to their mean by up to one part in twice the readings of a block.
    """
    if estimate is None:
        return None
    bias = abs(estimate.value - mean_mj) / (2 * size - 1)
    return Estimate(estimate.value, estimate.low - bias, estimate.high + bias, estimate.n)


def _mix(
    edges: Nanoseconds, starts: Nanoseconds, ends: Nanoseconds, paths: Sequence[str], names: Sequence[str]
) -> Values:
    """Frames of each path (m, p) within the blocks between the edges (m + 1,).

    All other paths share the last column, so that what they took is not laid upon those that are told apart.
    """
    of_frame = np.asarray(paths)
    of_paths = [of_frame == name for name in names]
    of_paths.append(~np.logical_or.reduce(of_paths))
    columns = [np.diff(_progress(edges, starts[frames], ends[frames])) for frames in of_paths if frames.any()]
    return np.column_stack(columns)


def _pauses_s(edges: Nanoseconds, starts: Nanoseconds, ends: Nanoseconds) -> Values:
    """Seconds (m,) within the blocks in which no frame was worked on."""
    done = np.concatenate(([0.0], np.cumsum(ends - starts)))
    moments = np.column_stack((starts, ends)).ravel()
    worked = np.interp(edges, moments, np.column_stack((done[:-1], done[1:])).ravel())
    pauses: Values = (np.diff(edges) - np.diff(worked)) / NANOSECONDS_PER_S
    return pauses


def _progress(at_ns: Nanoseconds, starts: Nanoseconds, ends: Nanoseconds) -> Values:
    """How many of these frames were done at each moment, parts of one included."""
    done = np.arange(len(starts) + 1, dtype=np.float64)
    progress: Values = np.interp(
        at_ns, np.column_stack((starts, ends)).ravel(), np.column_stack((done[:-1], done[1:])).ravel()
    )
    return progress


def _least_squares(mix: Values, energy_mj: Values) -> list[Estimate | None]:
    """The energies (p,) behind the sums (m,) of mixes (m, p); None where mixes do not tell one from another.

    The interval comes from whole stretches of neighbours drawn with replacement, as that of the mean does.
    """
    m, p = mix.shape
    nothing: list[Estimate | None] = [None] * p
    if np.linalg.cond(mix) > WORST_CONDITION:
        return nothing
    values = np.linalg.lstsq(mix, energy_mj, rcond=None)[0]
    length = max(1, math.ceil(dependence(energy_mj - mix @ values).block_length))
    squares, products = mix[:, :, None] * mix[:, None, :], mix * energy_mj[:, None]
    rng = resampling_generator()
    replicates = []
    for _ in range(RESAMPLES):
        weights = _drawn(m, length, rng)
        left, right = np.tensordot(weights, squares, 1), weights @ products
        if np.linalg.cond(left) < WORST_CONDITION**2:
            replicates.append(np.linalg.solve(left, right))
    if len(replicates) < RESAMPLES * 0.95:
        return nothing
    low, high = np.quantile(replicates, [0.025, 0.975], axis=0)
    return [
        Estimate(float(value), min(float(least), float(value)), max(float(most), float(value)), m)
        for value, least, most in zip(values, low, high, strict=True)
    ]


def _drawn(m: int, length: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How often each of m blocks (m,) is drawn, in stretches of this length that go on at the front."""
    drawn = (rng.integers(0, m, math.ceil(m / length))[:, None] + np.arange(length)) % m
    return np.bincount(drawn.ravel()[:m], minlength=m).astype(np.float64)


def _left_out(
    what: str, evidence: str, advice: str = "measure longer, or one path at a time: --controller fixed:ROUTE"
) -> Finding:
    return Finding(f"energy by path: {what}", evidence, advice, "note")
