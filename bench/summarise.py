"""From the records of frames to the figures of a run: pure, so that a report computes what the run computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.energy import EnergySummary, PowerRecord, summarise_energy
from bench.exits.summary import summarise_exits
from bench.frames import MISSING, FrameTable
from bench.heat import summarise_heat
from bench.machine_findings import Conditions
from bench.real_time import summarise_arrivals, summarise_deadline
from bench.records import Arrivals, FullTimes
from bench.statistics.bootstrap import mean_estimate, reduction_estimate, resampling_generator
from bench.statistics.entropy import entropy_bits
from bench.statistics.proportion import proportion_estimate
from bench.statistics.quantiles import frames_needed, quantile, quantile_estimate
from bench.statistics.steady import FEWEST_FRAMES, drift_estimate, steady_start
from bench.summary import (
    Estimate,
    ExitsSummary,
    HeatSummary,
    LatencySummary,
    NetworkSummary,
    PathSummary,
    RunSummary,
)
from bench.timeline import FrameRecord, Scope
from bench.twins.costs import PathCosts
from bench.twins.energy import energy_by_twin
from bench.twins.summarise import summarise_twins
from bench.twins.summary import FULL
from bench.verdict import Evidence, NetworkEvidence, assess

NANOSECONDS_PER_MS = 1e6
Rows = NDArray[np.intp]
PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}


def summarise_run(
    records: Iterable[FrameRecord],
    model: str,
    baseline: str | None,
    gates: Mapping[str, int],
    conditions: Conditions,
    *,
    exits: Mapping[str, int] | None = None,
    seeded: bool,
    complete: bool,
    arrivals: Arrivals | None = None,
    deadline_ms: float | None = None,
    queue: str | None = None,
    power: PowerRecord | None = None,
    full_times: FullTimes | None = None,
    costs: PathCosts | None = None,
) -> RunSummary:
    """The figures of a run and the verdict on them; `gates` and `exits` are those of each network by name.

    `arrivals` is what the capture counted and `queue` where its frames waited, in open loop; `deadline_ms` is counted
    from a frame's arrival; `power` is what the board's sensors said; `full_times` are those of each network by name,
    `costs` those of the model's paths, for figures of twins.  Model and baseline are compared frame by frame (a
    bootstrap over pairs), never as two pools of times.

    Raises:
        ValueError: both networks have one name, so that their records cannot be told apart.
    """
    if model == baseline:
        raise ValueError(f"model and baseline are both called {model!r}: give their records two names")
    frames = FrameTable.of(records)
    summaries = [
        summarise_network(frames, name, gates.get(name, 0), (exits or {}).get(name, 1), (full_times or {}).get(name))
        for name in (model, baseline)
        if name is not None
    ]
    of_arrivals = summarise_arrivals(frames, model, arrivals)
    of_deadline = None if deadline_ms is None else summarise_deadline(frames, model, deadline_ms, arrivals)
    alone = baseline is None and not len(frames.of_network(model + FULL))
    heat, energy = (None, None) if power is None else _observed(frames, model, alone, power)
    of_twins, energy_findings = energy_by_twin(frames, model, power, energy, alone=alone)
    number_of_gates, number_of_exits = gates.get(model, 0), (exits or {}).get(model, 1)
    twins = summarise_twins(
        frames,
        model,
        lambda rows: summarise_network(frames, model, number_of_gates, number_of_exits, rows=rows),
        summarise_latency,
        costs=costs,
        deadline_ms=deadline_ms,
        energy_mj=of_twins,
    )
    evidence = Evidence(
        networks=tuple(_network_evidence(frames, summary) for summary in summaries),
        conditions=conditions,
        # Where one route was taken throughout, nothing was drawn.
        seeded=seeded and any(len({path.route for path in summary.paths}) > 1 for summary in summaries),
        complete=complete,
        arrivals=of_arrivals,
        deadline=of_deadline,
        queue=queue,
        heat=heat,
        of_energy=(*(() if energy is None else energy.findings), *energy_findings),
    )
    return RunSummary(
        model=summaries[0],
        baseline=None if baseline is None else summaries[1],
        reduction=None if baseline is None else _reduction(frames, model, baseline),
        verdict=assess(evidence),
        complete=complete,
        arrivals=of_arrivals,
        deadline=of_deadline,
        heat=heat,
        energy=energy,
        twins=twins,
    )


def summarise_network(
    records: Iterable[FrameRecord],
    network: str,
    gates: int,
    exits: int = 1,
    full_times: Sequence[tuple[int, int]] | None = None,
    rows: Rows | None = None,
) -> NetworkSummary:
    """The figures of one network with these numbers of gates and exits, from records in time order.

    `full_times` are nanoseconds of this network and of the whole one without heads, on some of the frames.  With
    `rows`, from these of its rows alone.

    Warm-up frames are left out.  A failed frame has no latency and no path, and is a wrong answer: in use, no answer is
    no better than a wrong one.
    """
    frames = FrameTable.of(records)
    measured = frames.of_network(network) if rows is None else rows
    answered = _answered(frames, measured)
    predicted = frames.integers("predicted")
    routes = _Routes(frames, answered)
    left_at = np.bincount(frames.integers("exit")[answered], minlength=max(exits, 1))
    return NetworkSummary(
        network=network,
        frames=len(measured),
        failed=len(measured) - len(answered),
        latency_ms={
            "inference": summarise_latency(_milliseconds(frames.inference_ns[answered])),
            "capture-to-result": summarise_latency(_milliseconds(frames.capture_to_result_ns[answered])),
            **_device_scopes(frames, answered),
        },
        accuracy=_agreement(predicted, frames.integers("label"), measured),
        agreement=_agreement(predicted, frames.integers("full_predicted"), measured),
        paths=_paths(frames, answered),
        exits=left_at.tolist(),
        gates=gates,
        kept_blocks=mean_estimate(routes.kept_blocks, resampling_generator()) if gates else None,
        route_entropy_bits=entropy_bits(routes.counts) if gates and len(answered) else None,
        cold_frames=int((frames.texts("plan").equal("cold"))[answered].sum()),
        by_exit=_by_exit(frames, answered, exits, full_times) if exits > 1 and len(answered) else None,
    )


def _device_scopes(frames: FrameTable, answered: Rows) -> dict[Scope, LatencySummary]:
    """What only a backend with a device of its own has."""
    kernel_ns = frames.integers("kernel_ns")[answered]
    if not len(kernel_ns) or (kernel_ns == MISSING).any():
        return {}
    whole_ns = frames.integers("inference_ns")[answered]
    return {
        "kernel": summarise_latency(_milliseconds(kernel_ns)),
        "with-transfers": summarise_latency(_milliseconds(whole_ns)),
    }


def _by_exit(
    frames: FrameTable, answered: Rows, exits: int, full_times: Sequence[tuple[int, int]] | None
) -> ExitsSummary:
    labels = frames.integers("label")[answered]
    return summarise_exits(
        frames.integers("exit")[answered],
        frames.inference_ns[answered],
        frames.integers("predicted")[answered] == labels,
        labels != MISSING,
        exits,
        None if full_times is None else np.array(full_times, np.int64).reshape(-1, 2),
    )


def summarise_latency(latency_ms: NDArray[np.float64]) -> LatencySummary:
    """Mean, percentiles and maximum of latencies (n,) in time order, milliseconds."""
    longest = float(latency_ms.max()) if len(latency_ms) else None
    return LatencySummary(
        mean=mean_estimate(latency_ms, resampling_generator()),
        max=None if longest is None else Estimate(longest, longest, longest, len(latency_ms)),
        **{name: quantile_estimate(latency_ms, q) for name, q in PERCENTILES.items()},
    )


def _answered(frames: FrameTable, rows: Rows) -> Rows:
    return np.compress(frames.integers("predicted")[rows] != MISSING, rows)


def _milliseconds(nanoseconds: NDArray[np.int64]) -> NDArray[np.float64]:
    return nanoseconds.astype(np.float64) / NANOSECONDS_PER_MS


def _agreement(predicted: NDArray[np.int64], right: NDArray[np.int64], measured: Rows) -> Estimate | None:
    """Of the frames whose right answer is known; a failed frame's is MISSING, and so is wrong."""
    known = measured[right[measured] != MISSING]
    return proportion_estimate(predicted[known] == right[known])


class _Routes:
    """How many blocks each of these frames kept, and how often each route was taken."""

    def __init__(self, frames: FrameTable, rows: Rows) -> None:
        routes = frames.texts("route")
        kept = np.array([(route or "").count("1") for route in routes.values], np.float64)
        self.kept_blocks = kept[routes.codes[rows]]
        self.counts: list[int] = np.bincount(routes.codes[rows], minlength=1).tolist()


def _paths(frames: FrameTable, answered: Rows) -> list[PathSummary]:
    """The paths taken, most frequent first."""
    if not len(answered):
        return []
    routes, exits = frames.texts("route"), frames.integers("exit")[answered]
    several = int(exits.max()) + 1
    kinds, kind_of, counts = np.unique(
        routes.codes[answered] * several + exits, return_inverse=True, return_counts=True
    )
    latency_ms = _milliseconds(frames.inference_ns[answered])
    by_kind = np.split(latency_ms[np.argsort(kind_of, kind="stable")], np.cumsum(counts)[:-1])
    paths = [
        PathSummary(
            routes.values[kind // several] or "",
            int(kind % several),
            len(taken),
            len(taken) / len(answered),
            quantile(taken, 0.5),
        )
        for kind, taken in zip(kinds, by_kind, strict=True)
    ]
    return sorted(paths, key=lambda path: (-path.count, path.route, path.exit))


def _reduction(frames: FrameTable, model: str, baseline: str) -> Estimate | None:
    """Over the frames that both answered."""
    of_model, of_baseline = (_answered(frames, frames.of_network(name)) for name in (model, baseline))
    numbers, times = frames.integers("frame"), frames.inference_ns
    common, *places = np.intersect1d(numbers[of_model], numbers[of_baseline], return_indices=True)
    if not len(common):
        return None
    model_ns, baseline_ns = times[of_model[places[0]]], times[of_baseline[places[1]]]
    return reduction_estimate(model_ns, baseline_ns, resampling_generator())


def _observed(
    frames: FrameTable, model: str, alone: bool, power: PowerRecord
) -> tuple[HeatSummary | None, EnergySummary | None]:
    """Heat and energy of the measured frames.  Energy is not told apart where networks take turns."""
    rows = frames.of_network(model)
    if not len(rows):
        return None, None
    starts = frames.began_ns[rows]
    ends = starts + frames.work_ns[rows]
    heat = summarise_heat(power.traces, (int(starts[0]), int(ends[-1])))
    if not alone or not (power.meters or power.problem):
        return heat, None
    routes, exits = frames.texts("route"), frames.integers("exit")[rows]
    several_exits = bool(exits.any())
    answered = frames.integers("predicted")[rows] != MISSING
    # Few names stand for many frames: each is made once.
    name_of = {
        (code, exit_): " ".join(filter(None, (routes.values[code], f"exit {exit_}" if several_exits else "")))
        for code, exit_ in set(zip(routes.codes[rows].tolist(), exits.tolist(), strict=True))
    }
    of_frames = zip(routes.codes[rows].tolist(), exits.tolist(), answered.tolist(), strict=True)
    paths = [name_of[code, exit_] if is_answered else "" for code, exit_, is_answered in of_frames]
    return heat, summarise_energy(power, starts, ends, paths)


def _network_evidence(frames: FrameTable, summary: NetworkSummary) -> NetworkEvidence:
    answered = _answered(frames, frames.of_network(summary.network))
    latency_ms = _milliseconds(frames.inference_ns[answered])
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
