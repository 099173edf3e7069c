"""From the records of frames to the figures of a run: pure, so that a report computes what the run computed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.statistics.bootstrap import mean_estimate, reduction_estimate, resampling_generator
from bench.statistics.entropy import entropy_bits
from bench.statistics.proportion import proportion_estimate
from bench.statistics.quantiles import frames_needed, quantile, quantile_estimate
from bench.statistics.steady import FEWEST_FRAMES, drift_estimate, steady_start
from bench.summary import Estimate, LatencySummary, NetworkSummary, PathSummary, RunSummary
from bench.timeline import FrameRecord, Scope
from bench.verdict import Conditions, Evidence, NetworkEvidence, assess

NANOSECONDS_PER_MS = 1e6
PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}


def summarise_run(
    records: Sequence[FrameRecord],
    model: str,
    baseline: str | None,
    gates: Mapping[str, int],
    conditions: Conditions,
    *,
    exits: Mapping[str, int] | None = None,
    seeded: bool,
    complete: bool,
) -> RunSummary:
    """The figures of a run and the verdict on them; `gates` and `exits` are those of each network by name.

    Model and baseline are compared frame by frame (a bootstrap over pairs), never as two pools of times.

    Raises:
        ValueError: both networks have one name, so that their records cannot be told apart.
    """
    if model == baseline:
        raise ValueError(f"model and baseline are both called {model!r}: give their records two names")
    summaries = [
        summarise_network(records, name, gates.get(name, 0), (exits or {}).get(name, 1))
        for name in (model, baseline)
        if name is not None
    ]
    evidence = Evidence(
        networks=tuple(_network_evidence(records, summary) for summary in summaries),
        conditions=conditions,
        # Where one route was taken throughout, nothing was drawn.
        seeded=seeded and any(len({path.route for path in summary.paths}) > 1 for summary in summaries),
        complete=complete,
    )
    return RunSummary(
        model=summaries[0],
        baseline=None if baseline is None else summaries[1],
        reduction=None if baseline is None else _reduction(records, model, baseline),
        verdict=assess(evidence),
        complete=complete,
    )


def summarise_network(records: Iterable[FrameRecord], network: str, gates: int, exits: int = 1) -> NetworkSummary:
    """The figures of one network with these numbers of gates and exits, from records in time order.

    Warm-up frames are left out.  A failed frame has no latency and no path, and is a wrong answer: in use, no answer is
    no better than a wrong one.
    """
    measured = _measured(records, network)
    answered = [record for record in measured if record.predicted is not None]
    labelled = [record.predicted == record.label for record in measured if record.label is not None]
    checked = [record.predicted == record.full_predicted for record in measured if record.full_predicted is not None]
    routes = Counter(record.route for record in answered)
    left_at = Counter(record.exit for record in answered)
    return NetworkSummary(
        network=network,
        frames=len(measured),
        failed=len(measured) - len(answered),
        latency_ms=_latencies(answered),
        accuracy=proportion_estimate(labelled),
        agreement=proportion_estimate(checked),
        paths=_paths(answered),
        exits=[left_at[index] for index in range(max(exits, max(left_at, default=0) + 1))],
        gates=gates,
        kept_blocks=mean_estimate([record.route.count("1") for record in answered], resampling_generator())
        if gates
        else None,
        route_entropy_bits=entropy_bits(routes.values()) if gates and answered else None,
        cold_frames=sum(record.plan == "cold" for record in answered),
    )


def summarise_latency(latency_ms: NDArray[np.float64]) -> LatencySummary:
    """Mean, percentiles and maximum of latencies (n,) in time order, milliseconds."""
    longest = float(latency_ms.max()) if len(latency_ms) else None
    return LatencySummary(
        mean=mean_estimate(latency_ms, resampling_generator()),
        max=None if longest is None else Estimate(longest, longest, longest, len(latency_ms)),
        **{name: quantile_estimate(latency_ms, q) for name, q in PERCENTILES.items()},
    )


def _measured(records: Iterable[FrameRecord], network: str) -> list[FrameRecord]:
    return [record for record in records if record.network == network and not record.warm_up]


def _milliseconds(nanoseconds: Iterable[int]) -> NDArray[np.float64]:
    return np.array(list(nanoseconds), dtype=np.float64) / NANOSECONDS_PER_MS


def _latencies(answered: Sequence[FrameRecord]) -> dict[Scope, LatencySummary]:
    return {
        "inference": summarise_latency(_milliseconds(record.inference_ns for record in answered)),
        "capture-to-result": summarise_latency(_milliseconds(record.capture_to_result_ns for record in answered)),
    }


def _paths(answered: Sequence[FrameRecord]) -> list[PathSummary]:
    """The paths taken, most frequent first."""
    times: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for record in answered:
        times[record.route, record.exit].append(record.inference_ns)
    by_count = sorted(times.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        PathSummary(route, exit_, len(taken), len(taken) / len(answered), quantile(_milliseconds(taken), 0.5))
        for (route, exit_), taken in by_count
    ]


def _reduction(records: Iterable[FrameRecord], model: str, baseline: str) -> Estimate | None:
    """Over the frames that both answered."""
    times: dict[str, dict[int, int]] = {model: {}, baseline: {}}
    for record in records:
        if record.network in times and not record.warm_up and record.predicted is not None:
            times[record.network][record.frame] = record.inference_ns
    pairs = [(taken, times[baseline][frame]) for frame, taken in times[model].items() if frame in times[baseline]]
    if not pairs:
        return None
    of_model, of_baseline = np.array(pairs).T
    return reduction_estimate(of_model, of_baseline, resampling_generator())


def _network_evidence(records: Iterable[FrameRecord], summary: NetworkSummary) -> NetworkEvidence:
    answered = [record for record in _measured(records, summary.network) if record.predicted is not None]
    latency_ms = _milliseconds(record.inference_ns for record in answered)
    latency = summary.latency_ms["inference"]
    missing = [name for name in PERCENTILES if getattr(latency, name) is None]
    return NetworkEvidence(
        network=summary.network,
        frames=summary.frames,
        failed=summary.failed,
        cold=summary.cold_frames,
        not_carried=tuple(missing),
        frames_needed=max((frames_needed(PERCENTILES[name]) for name in missing), default=0),
        mean_ms=latency.mean,
        drift=drift_estimate(latency_ms, resampling_generator()),
        settled_after=steady_start(latency_ms) if len(latency_ms) >= FEWEST_FRAMES else None,
    )
