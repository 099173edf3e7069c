"""What a run says about exits: how often each was taken, what that took, how right it was; and whether it adds up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.statistics.bootstrap import mean_estimate, reduction_estimate, resampling_generator
from bench.statistics.proportion import proportion_estimate
from bench.summary import ExitFigures, ExitsSummary, Mixture

NANOSECONDS_PER_MS = 1e6


def summarise_exits(
    taken: NDArray[np.int64],
    inference_ns: NDArray[np.int64],
    right: NDArray[np.bool_] | None,
    labelled: NDArray[np.bool_] | None,
    exits: int,
    against_full_ns: NDArray[np.int64] | None = None,
) -> ExitsSummary:
    """The figures of answered frames in time order.

    `taken` (n,) are the exits, `inference_ns` (n,) the times; `right` (n,) counts where `labelled` (n,), and either may
    be None without labels.  `against_full_ns` (m, 2) is what this network and the whole one without heads took on some
    of the frames, in turn.
    """
    known = np.zeros(len(taken), bool) if right is None or labelled is None else labelled
    figures = tuple(
        _figures(index, taken == index, inference_ns, known if right is None else right, known)
        for index in range(exits)
    )
    saved = None
    if against_full_ns is not None and len(against_full_ns):
        saved = reduction_estimate(against_full_ns[:, 0], against_full_ns[:, 1], resampling_generator())
    return ExitsSummary(
        tuple(each for each in figures if each is not None),
        mean_estimate(taken, resampling_generator()),
        saved,
        mixture([(each.count, each.typical_ms) for each in figures if each is not None], inference_ns),
    )


def mixture(costs: list[tuple[int, float | None]], inference_ns: NDArray[np.int64]) -> Mixture | None:
    """The check of (frames, typical milliseconds) by exit against the mean of all frames; None without frames."""
    frames = sum(count for count, _ in costs)
    if not frames:
        return None
    expected_ms = sum(count * typical_ms for count, typical_ms in costs if typical_ms is not None) / frames
    measured_ms = float(inference_ns.mean()) / NANOSECONDS_PER_MS
    return Mixture(expected_ms, measured_ms, expected_ms / measured_ms - 1) if measured_ms else None


def _figures(
    index: int,
    here: NDArray[np.bool_],
    inference_ns: NDArray[np.int64],
    right: NDArray[np.bool_],
    known: NDArray[np.bool_],
) -> ExitFigures | None:
    share = proportion_estimate(here)
    if share is None:
        return None
    times_ms = inference_ns[here] / NANOSECONDS_PER_MS
    return ExitFigures(
        exit=index,
        count=int(here.sum()),
        share=share,
        latency_ms=mean_estimate(times_ms, resampling_generator()),
        typical_ms=float(np.median(times_ms)) if len(times_ms) else None,
        accuracy=proportion_estimate(right[here & known]),
    )
