"""Frames that do not wait: what became of each, whether its answer came in time, how busy the network was."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.frames import MISSING, FrameTable
from bench.records import Arrivals
from bench.statistics.proportion import proportion_estimate
from bench.statistics.quantiles import quantile_estimate
from bench.summary import ArrivalsSummary, DeadlineSummary

_NANOSECONDS_PER_S = 1e9
_NANOSECONDS_PER_MS = 1e6


def summarise_arrivals(frames: FrameTable, network: str, seen: Arrivals | None) -> ArrivalsSummary | None:
    """What became of the frames that came on their own, and how busy that kept the network; None in closed loop.

    `seen` is what the capture counted.  Without it (the run was killed) the gaps between the numbers of the recorded
    arrivals are the dropped frames, and what came behind the last recorded one is not known.
    """
    rows = _open_loop_rows(frames, network)
    if seen is None:
        if not len(rows):
            return None
        arrived = int(frames.integers("sequence")[rows[-1]]) + 1
        seen = Arrivals(arrived, len(rows), arrived - len(rows), 0)
    rate = _arrivals_a_second(frames, rows)
    busy_s = float(frames.work_ns[rows].mean()) / _NANOSECONDS_PER_S if len(rows) else None
    wait_ms = frames.integers("wait_ns")[rows] / _NANOSECONDS_PER_MS
    return ArrivalsSummary(
        arrived=seen.arrived,
        processed=seen.processed,
        dropped=seen.dropped,
        queued=seen.queued,
        behind=seen.behind,
        a_second=rate,
        utilisation=None if rate is None or busy_s is None else rate * busy_s,
        wait_p50_ms=quantile_estimate(wait_ms, 0.50),
        wait_p99_ms=quantile_estimate(wait_ms, 0.99),
    )


def summarise_deadline(
    frames: FrameTable, network: str, deadline_ms: float, seen: Arrivals | None
) -> DeadlineSummary | None:
    """How the answers kept a deadline, counted from the arrival; None without a frame.

    A frame that was dropped or failed missed it as well as one that was late; what still waited at the end is left out.
    """
    rows = frames.of_network(network)
    if not len(rows):
        return None
    slack_ms = deadline_ms - frames.capture_to_result_ns[rows] / _NANOSECONDS_PER_MS
    answered = frames.integers("predicted")[rows] != MISSING
    in_time = answered & (slack_ms >= 0)
    missed = _missed(frames, network, rows, in_time, seen)
    slack_of_answers = slack_ms[answered]
    return DeadlineSummary(
        deadline_ms=deadline_ms,
        late=int((answered & ~in_time).sum()),
        missed=int(missed.sum()),
        missed_share=proportion_estimate(missed),
        longest_burst=longest_run(missed),
        slack_p50_ms=quantile_estimate(slack_of_answers, 0.50),
        least_slack_ms=float(slack_of_answers.min()) if len(slack_of_answers) else None,
    )


def longest_run(values: NDArray[np.bool_]) -> int:
    """The length of the longest stretch of consecutive true values (n,)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], values, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _missed(
    frames: FrameTable, network: str, rows: NDArray[np.intp], in_time: NDArray[np.bool_], seen: Arrivals | None
) -> NDArray[np.bool_]:
    """Whether each frame whose fate is known (n,), in the order of arrival, has no answer in time."""
    if not len(_open_loop_rows(frames, network)):
        return ~in_time
    sequence = frames.integers("sequence")[rows]
    # Frames behind the last processed one were dropped before those that still waited at the end.
    dropped_behind = 0 if seen is None else max(0, seen.dropped + seen.processed - int(sequence.max()) - 1)
    missed = np.ones(int(sequence.max()) + 1 + dropped_behind, np.bool_)
    missed[sequence] = ~in_time
    return missed


def _open_loop_rows(frames: FrameTable, network: str) -> NDArray[np.intp]:
    rows = frames.of_network(network)
    came_by_itself = (frames.integers("sequence")[rows] != MISSING) & (frames.integers("wait_ns")[rows] != MISSING)
    return np.compress(came_by_itself, rows)


def _arrivals_a_second(frames: FrameTable, rows: NDArray[np.intp]) -> float | None:
    """Over all arrivals from the first recorded one to the last; None where two are not told apart."""
    if len(rows) < 2:
        return None
    sequence, arrival_ns = frames.integers("sequence")[rows], frames.integers("arrival_ns")[rows]
    arrivals, span_ns = int(sequence[-1] - sequence[0]), int(arrival_ns[-1] - arrival_ns[0])
    return arrivals * _NANOSECONDS_PER_S / span_ns if arrivals > 0 and span_ns > 0 else None
