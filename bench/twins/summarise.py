"""From the records of a run of twins to its figures: pure, as `bench.summarise`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from bench.exits.efficacy import efficacy
from bench.frames import MISSING, FrameTable
from bench.statistics.bootstrap import (
    change_estimate,
    mean_estimate,
    ratio_estimate,
    reduction_estimate,
    resampling_generator,
)
from bench.statistics.proportion import proportion_estimate
from bench.summary import Estimate, LatencySummary, NetworkSummary
from bench.timeline import Twin
from bench.twins.costs import PathCosts
from bench.twins.summary import CEILING, FULL, Beside, TwinFigures, TwinsSummary

_NANOSECONDS_PER_MS = 1e6
Rows = NDArray[np.intp]
Values = NDArray[np.float64]


def has_twins(frames: FrameTable, model: str) -> bool:
    """Whether the model was shown versions of frames."""
    twins = frames.texts("twin")
    return bool((twins.codes[frames.of_network(model)] != _code(frames, None)).any())


def of_twin(frames: FrameTable, network: str, twin: Twin) -> Rows:
    """The rows of the network's measured frames in this version."""
    rows = frames.of_network(network)
    return np.compress(frames.texts("twin").equal(twin)[rows], rows)


def summarise_twins(
    frames: FrameTable,
    model: str,
    summarise: Callable[[Rows], NetworkSummary],
    latency: Callable[[Values], LatencySummary],
    *,
    costs: PathCosts | None,
    deadline_ms: float | None,
    energy_mj: Mapping[str, Estimate],
) -> TwinsSummary | None:
    """The figures of every version that was shown; None where there are none.

    `summarise` and `latency` give the figures of rows and of milliseconds (`bench.summarise`); `energy_mj` holds what a
    frame of each version took, where that is known.
    """
    rows = {twin: of_twin(frames, model, twin) for twin in get_args(Twin)}
    shown: list[Twin] = [twin for twin in rows if len(rows[twin])]
    if not shown:
        return None
    times = _Times(frames, model)
    figures = tuple(
        TwinFigures(
            twin,
            summarise(rows[twin]),
            None if deadline_ms is None else _missed(frames, rows[twin], deadline_ms),
            energy_mj.get(twin),
            times.saved(rows[twin]),
            *_efficacies(frames, _answered(frames, rows[twin]), costs),
        )
        for twin in shown
    )
    full_ms, ceiling_ms = (times.inference_ms(model + name) for name in (FULL, CEILING))
    return TwinsSummary(
        figures,
        tuple(times.beside(twin, rows["clean"], rows[twin]) for twin in shown if twin != "clean"),
        None if full_ms is None else latency(full_ms),
        None if ceiling_ms is None else latency(ceiling_ms),
        times.slowdown_to(model + CEILING, rows["clean"]),
    )


class _Times:
    """Inference times of the model and of the networks beside it, paired frame by frame."""

    def __init__(self, frames: FrameTable, model: str) -> None:
        self._frames, self._model = frames, model
        self._inference_ns = frames.integers("inference_ns")

    def inference_ms(self, network: str) -> Values | None:
        rows = _answered(self._frames, self._frames.of_network(network))
        return self._inference_ns[rows] / _NANOSECONDS_PER_MS if len(rows) else None

    def saved(self, rows: Rows) -> Estimate | None:
        """What the model saves against the full network on these of its rows."""
        mine, its = self._on_same_frames(rows, self._model + FULL)
        if not len(mine):
            return None
        return reduction_estimate(self._inference_ns[mine], self._inference_ns[its], resampling_generator())

    def slowdown_to(self, network: str, rows: Rows) -> Estimate | None:
        """How many times as long another network takes on these of the model's rows."""
        mine, its = self._on_same_frames(rows, network)
        return _ratio(self._inference_ns[its], self._inference_ns[mine])

    def beside(self, twin: Twin, clean: Rows, other: Rows) -> Beside:
        frames = self._frames
        clean, other = _answered(frames, clean), _answered(frames, other)
        pair = frames.integers("pair")
        common, *places = np.intersect1d(pair[clean], pair[other], return_indices=True)
        if not len(common):
            return Beside(twin, 0, _unpaired(self._inference_ns[clean], self._inference_ns[other]), None)
        clean, other = clean[places[0]], other[places[1]]
        slowdown = _ratio(self._inference_ns[other], self._inference_ns[clean])
        return Beside(twin, len(common), slowdown, self._lost_savings(clean, other))

    def _lost_savings(self, clean: Rows, other: Rows) -> Estimate | None:
        """What the twin takes more than the clean frame, as a share of what this takes less than the full network.

        The full network's time on a pair is the mean of that on both, and the saving must be above 0 for sure.
        """
        full_of = dict(zip(*self._by_frame(self._model + FULL), strict=True))
        numbers = self._frames.integers("frame")
        full = [
            (full_of.get(a), full_of.get(b))
            for a, b in zip(numbers[clean].tolist(), numbers[other].tolist(), strict=True)
        ]
        known = np.array([None not in each for each in full], np.bool_)
        if not known.any():
            return None
        full_ns = np.array([each for each in full if None not in each], np.float64).mean(axis=1)
        clean_ns, other_ns = self._inference_ns[clean][known], self._inference_ns[other][known]
        return ratio_estimate(other_ns - clean_ns, full_ns - clean_ns, resampling_generator())

    def _by_frame(self, network: str) -> tuple[list[int], list[int]]:
        rows = _answered(self._frames, self._frames.of_network(network))
        return self._frames.integers("frame")[rows].tolist(), self._inference_ns[rows].tolist()

    def _on_same_frames(self, rows: Rows, network: str) -> tuple[Rows, Rows]:
        """Those of the rows that were answered, and the rows of another network that answered the same frames."""
        frames, numbers = self._frames, self._frames.integers("frame")
        mine, its = _answered(frames, rows), _answered(frames, frames.of_network(network))
        _, *places = np.intersect1d(numbers[mine], numbers[its], return_indices=True)
        return mine[places[0]], its[places[1]]


def efficacy_of_frames(
    paths: list[tuple[str, int]], costs: PathCosts
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """For frames that took these (route, exit): 1 - their cost, and 1 - that by the trapezoids under the curve.

    Their means are the efficacies; the second is None for a network with gates, or one exit.
    """
    if costs.gates or len(costs.exits) < 2:
        of_path = {path: costs.share(*path) for path in set(paths)}
        return np.array([1 - of_path[path] for path in paths]), None
    found = efficacy([exit_ for _, exit_ in paths], [costs.share("", index) for index in range(len(costs.exits))])
    return found.step, found.trapezoid


def _efficacies(frames: FrameTable, answered: Rows, costs: PathCosts | None) -> tuple[Estimate | None, Estimate | None]:
    if costs is None or not (costs.gates or len(costs.exits) > 1):
        return None, None
    routes = frames.texts("route")
    paths = list(
        zip(
            (routes.values[code] or "" for code in routes.codes[answered].tolist()),
            frames.integers("exit")[answered].tolist(),
            strict=True,
        )
    )
    if any(len(route) != costs.gates or exit_ >= len(costs.exits) for route, exit_ in set(paths)):
        return None, None
    step, trapezoid = efficacy_of_frames(paths, costs)
    return (
        mean_estimate(step, resampling_generator()),
        None if trapezoid is None else mean_estimate(trapezoid, resampling_generator()),
    )


def _missed(frames: FrameTable, rows: Rows, deadline_ms: float) -> Estimate | None:
    """Of the frames that were taken, those that failed or were late; which version was dropped is not recorded."""
    in_time = frames.capture_to_result_ns[rows] <= deadline_ms * _NANOSECONDS_PER_MS
    return proportion_estimate(~(in_time & (frames.integers("predicted")[rows] != MISSING)))


def _ratio(numerator_ns: NDArray[np.int64], denominator_ns: NDArray[np.int64]) -> Estimate | None:
    return ratio_estimate(numerator_ns, denominator_ns, resampling_generator())


def _unpaired(clean_ns: NDArray[np.int64], other_ns: NDArray[np.int64]) -> Estimate | None:
    change = change_estimate(clean_ns, other_ns, resampling_generator())
    return None if change is None else Estimate(1 + change.value, 1 + change.low, 1 + change.high, change.n)


def _answered(frames: FrameTable, rows: Rows) -> Rows:
    return np.compress(frames.integers("predicted")[rows] != MISSING, rows)


def _code(frames: FrameTable, value: str | None) -> int:
    values = frames.texts("twin").values
    return values.index(value) if value in values else -1
