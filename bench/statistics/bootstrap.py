"""Intervals of means and of their ratios, by resampling blocks of consecutive frames.

Blocks keep the dependence between neighbouring frames, which single frames drawn one by one would destroy; they wrap
around the end so that every frame counts alike (Politis and Romano, "A circular block-resampling procedure for
stationary data", 1992).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.statistics.dependence import dependence
from bench.summary import Estimate

RESAMPLES = 2000

# Below this the resamples repeat a handful of frames and the interval promises more than it holds.
FEWEST_FRAMES = 20

# More blocks than this cost time and sharpen nothing: a run of hours takes longer blocks instead.
MOST_BLOCKS = 4000

# The resamples of a summary are drawn the same way each time: one set of records has one summary.
RESAMPLING_SEED = 20240229


def resampling_generator() -> np.random.Generator:
    """The generator that summaries resample with, anew at every call."""
    return np.random.default_rng(RESAMPLING_SEED)


Sums = NDArray[np.float64]


def mean_estimate(values: ArrayLike, rng: np.random.Generator, confidence: float = 0.95) -> Estimate | None:
    """The mean of a series (n,) in time order, or None below 20 frames."""
    series = np.asarray(values, dtype=np.float64)
    if len(series) < FEWEST_FRAMES:
        return None
    block = _block_length(series)
    means = _resampled_sums([series], block, rng)[0] / len(series)
    return _estimate(float(series.mean()), means, len(series), block, confidence)


def reduction_estimate(
    model_ns: ArrayLike, baseline_ns: ArrayLike, rng: np.random.Generator, confidence: float = 0.95
) -> Estimate | None:
    """1 - mean(model) / mean(baseline) over the same frames, or None below 20 frames.

    Both series are (n,), nanoseconds, in time order, and element i of both is the same frame: what slowed both down
    cancels.  The block length is that of the ratio's linearisation, model - ratio * baseline.

    Raises:
        ValueError: the series differ in length, or the baseline took no time.
    """
    model, baseline = np.asarray(model_ns, dtype=np.float64), np.asarray(baseline_ns, dtype=np.float64)
    if model.shape != baseline.shape:
        raise ValueError(f"frames must be paired: {len(model)} of the model stand against {len(baseline)}")
    if len(model) < FEWEST_FRAMES:
        return None
    if baseline.min() <= 0:
        raise ValueError("a baseline frame took no time, so there is no ratio to it: measure nanoseconds above 0")
    ratio = float(model.sum() / baseline.sum())
    block = _block_length(model - ratio * baseline)
    model_sums, baseline_sums = _resampled_sums([model, baseline], block, rng)
    return _estimate(1 - ratio, 1 - model_sums / baseline_sums, len(model), block, confidence)


def ratio_estimate(
    numerator: ArrayLike, denominator: ArrayLike, rng: np.random.Generator, confidence: float = 0.95
) -> Estimate | None:
    """mean(numerator) / mean(denominator) over the same frames, or None below 20 frames.

    Both series are (n,), of any sign, in time order, and element i of both is the same frame.  None, too, where the
    denominator is not above 0 in every resample: what is divided by what may be nothing has no interval.

    Raises:
        ValueError: the series differ in length.
    """
    above, below = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    if above.shape != below.shape:
        raise ValueError(f"frames must be paired: {len(above)} above stand against {len(below)} below")
    if len(above) < FEWEST_FRAMES or below.sum() <= 0:
        return None
    ratio = float(above.sum() / below.sum())
    block = _block_length(above - ratio * below)
    above_sums, below_sums = _resampled_sums([above, below], block, rng)
    if below_sums.min() <= 0:
        return None
    return _estimate(ratio, above_sums / below_sums, len(above), block, confidence)


def change_estimate(
    before: ArrayLike, after: ArrayLike, rng: np.random.Generator, confidence: float = 0.95
) -> Estimate | None:
    """mean(after) / mean(before) - 1 for two stretches of one series, positive values, or None below 20 frames each."""
    first, last = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if min(len(first), len(last)) < FEWEST_FRAMES or first.min() <= 0:
        return None
    blocks = [_block_length(first), _block_length(last)]
    first_means = _resampled_sums([first], blocks[0], rng)[0] / len(first)
    last_means = _resampled_sums([last], blocks[1], rng)[0] / len(last)
    value = float(last.mean() / first.mean()) - 1
    return _estimate(value, last_means / first_means - 1, len(first) + len(last), 2 * max(blocks), confidence)


def _block_length(series: NDArray[np.float64]) -> int:
    n = len(series)
    return max(math.ceil(dependence(series).block_length), math.ceil(n / MOST_BLOCKS))


def _resampled_sums(series: Sequence[NDArray[np.float64]], block: int, rng: np.random.Generator) -> list[Sums]:
    """Sums (resamples,) of each series over the same blocks, drawn with replacement and n frames long together."""
    n = len(series[0])
    whole, rest = divmod(n, block)
    block_sums = [_circular_sums(values, block) for values in series]
    rest_sums = [_circular_sums(values, rest) for values in series]
    sums = [np.empty(RESAMPLES) for _ in series]
    # A slice of the resamples at a time keeps the drawn starts within a few megabytes.
    step = max(1, 500_000 // whole)
    for start in range(0, RESAMPLES, step):
        part = slice(start, min(start + step, RESAMPLES))
        blocks = rng.integers(0, n, size=(part.stop - part.start, whole), dtype=np.int32)
        rests = rng.integers(0, n, size=part.stop - part.start)
        for total, of_block, of_rest in zip(sums, block_sums, rest_sums, strict=True):
            total[part] = of_block[blocks].sum(axis=1) + of_rest[rests]
    return sums


def _circular_sums(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Sum of `length` values from each start (n,), going on at the front behind the end."""
    running = np.concatenate(([0.0], np.cumsum(np.concatenate((values, values[:length])))))
    sums: NDArray[np.float64] = running[length : length + len(values)] - running[: len(values)]
    return sums


def _estimate(value: float, replicates: Sums, n: int, block: int, confidence: float) -> Estimate:
    """The expanded percentile interval: few blocks make the plain one too short (Hesterberg, "What Teachers Should
    Know About the Bootstrap", The American Statistician 69, 2015, section 5.3)."""
    blocks = max(n / block, 3.0)
    normal = NormalDist()
    student = _student_quantile((1 + confidence) / 2, blocks - 1)
    tail = normal.cdf(-math.sqrt(blocks / (blocks - 1)) * student)
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return Estimate(value, min(float(low), value), max(float(high), value), n)


def _student_quantile(p: float, freedom: float) -> float:
    """Student's t by its Cornish-Fisher expansion (Abramowitz and Stegun, 26.7.5): 3% short at 2 degrees, 0.1% at 5."""
    z = NormalDist().inv_cdf(p)
    terms: list[Callable[[float], float]] = [
        lambda z: (z**3 + z) / 4,
        lambda z: (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        lambda z: (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    ]
    return z + sum(term(z) / freedom**power for power, term in enumerate(terms, 1))
