"""Whether the figures of a run may be trusted, judged from what was seen while it ran."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from bench.machine_findings import Conditions, judge_machine
from bench.summary import ArrivalsSummary, DeadlineSummary, Estimate, Finding, HeatSummary, Verdict

# At one frame in a hundred, what is missing or cold can be the whole of what lies beyond p99.
ODD_FRAMES_LIMIT = 0.01
DRIFT_LIMIT = 0.05
MEAN_UNCERTAINTY_LIMIT = 0.05
LATE_SETTLING_LIMIT = 0.10
UTILISATION_LIMIT = 1.0
SOAK_S = 600.0


@dataclass(frozen=True, slots=True)
class NetworkEvidence:
    """What the frames of one network say about themselves; times are those of the inference scope.

    `not_carried` holds the percentiles that were left out, `frames_needed` what the highest of them takes; `drift` is
    last third over first third, minus 1; `settled_after` how many measured frames still look like warm-up (None: too
    few to say).
    """

    network: str
    frames: int
    failed: int
    cold: int
    not_carried: tuple[str, ...]
    frames_needed: int
    mean_ms: Estimate | None
    drift: Estimate | None
    settled_after: int | None

    @property
    def answered(self) -> int:
        return self.frames - self.failed


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the verdict stands on."""

    networks: tuple[NetworkEvidence, ...]
    conditions: Conditions
    seeded: bool
    complete: bool
    arrivals: ArrivalsSummary | None = None
    deadline: DeadlineSummary | None = None
    queue: str | None = None
    heat: HeatSummary | None = None
    of_energy: tuple[Finding, ...] = ()


def assess(evidence: Evidence) -> Verdict:
    """The verdict: a run is trusted unless a finding is a warning; warnings come first.

    A warning needs evidence that the figures suffered.  Free clocks alone are a note, since every laptop has them:
    where they do harm, drift or an uncertain mean shows it.  A percentile that is left out misleads nobody, and what
    was measured before an interruption stays measured: notes as well.
    """
    of_networks = (_judge_network(network) for network in evidence.networks)
    findings = [*chain.from_iterable(of_networks), *_judge_real_time(evidence), *judge_machine(evidence.conditions)]
    findings += [*_still_warming(evidence.heat), *evidence.of_energy, *_judge_run(evidence)]
    findings.sort(key=lambda finding: finding.severity == "note")
    return Verdict(all(finding.severity == "note" for finding in findings), findings)


def _judge_network(seen: NetworkEvidence) -> Iterator[Finding]:
    if seen.frames == 0:
        yield Finding(
            f"{seen.network}: nothing was measured",
            "0 frames behind the warm-up",
            "give the run more frames: --frames 400",
        )
        return
    yield from _failed_frames(seen)
    yield from _cold_frames(seen)
    yield from _drift(seen)
    yield from _late_settling(seen)
    yield from _uncertain_mean(seen)
    yield from _percentiles_left_out(seen)


def _failed_frames(seen: NetworkEvidence) -> Iterator[Finding]:
    if seen.failed:
        share = seen.failed / seen.frames
        yield Finding(
            f"{seen.network}: frames failed",
            f"{seen.failed} of {seen.frames} frames gave no answer ({share:.2%}, limit {ODD_FRAMES_LIMIT:.0%}); their "
            "times are left out",
            "read the column error of frames.csv",
            "warning" if share >= ODD_FRAMES_LIMIT else "note",
        )


def _cold_frames(seen: NetworkEvidence) -> Iterator[Finding]:
    if seen.cold:
        share = seen.cold / seen.frames
        yield Finding(
            f"{seen.network}: segments were compiled while measuring",
            f"{seen.cold} of {seen.frames} frames waited for it ({share:.2%}, limit {ODD_FRAMES_LIMIT:.0%})",
            "measure longer (--frames), so that the routes are known early in the run",
            "warning" if share >= ODD_FRAMES_LIMIT else "note",
        )


def _drift(seen: NetworkEvidence) -> Iterator[Finding]:
    drift = seen.drift
    if drift is not None and abs(drift.value) >= DRIFT_LIMIT and (drift.low > 0 or drift.high < 0):
        yield Finding(
            f"{seen.network}: the latency drifted",
            f"last third of the frames against the first: {drift.value:+.1%} [{drift.low:+.1%}, {drift.high:+.1%}], "
            f"limit {DRIFT_LIMIT:.0%}",
            "let the board reach its temperature and measure longer; if the content changed, mix the frames",
        )


def _late_settling(seen: NetworkEvidence) -> Iterator[Finding]:
    if seen.settled_after is not None and seen.settled_after / seen.answered > LATE_SETTLING_LIMIT:
        never = seen.settled_after >= seen.answered
        yield Finding(
            f"{seen.network}: the latency {'did not settle' if never else 'settled late'}",
            f"{seen.settled_after} of {seen.answered} frames look like warm-up (limit {LATE_SETTLING_LIMIT:.0%})",
            f"measure longer: --frames {4 * seen.frames}",
            "note",
        )


def _uncertain_mean(seen: NetworkEvidence) -> Iterator[Finding]:
    mean = seen.mean_ms
    if mean is None:
        yield Finding(
            f"{seen.network}: too few frames",
            f"{seen.answered} answered frames carry no mean",
            f"give the run more frames: --frames {seen.frames_needed}",
        )
    elif (uncertainty := (mean.high - mean.low) / (2 * mean.value)) > MEAN_UNCERTAINTY_LIMIT:
        # The interval narrows with the square root of the frames.
        needed = math.ceil(seen.frames * (uncertainty / MEAN_UNCERTAINTY_LIMIT) ** 2)
        yield Finding(
            f"{seen.network}: the mean latency is uncertain",
            f"known to ±{uncertainty:.1%} from {mean.n} frames (limit ±{MEAN_UNCERTAINTY_LIMIT:.0%})",
            f"quiet the machine, pin its clocks, or measure longer: --frames {needed}",
        )


def _percentiles_left_out(seen: NetworkEvidence) -> Iterator[Finding]:
    if seen.not_carried:
        short = seen.answered < seen.frames_needed
        yield Finding(
            f"{seen.network}: no {', '.join(seen.not_carried)}",
            f"{seen.frames_needed} independent frames are needed, {seen.answered} were measured"
            + ("" if short else ", each much like the one before"),
            f"measure longer: --frames {seen.frames_needed if short else 4 * seen.frames}",
            "note",
        )


def _judge_real_time(evidence: Evidence) -> Iterator[Finding]:
    arrivals, deadline = evidence.arrivals, evidence.deadline
    if arrivals is not None:
        yield from _overload(arrivals, evidence.queue)
        if arrivals.dropped:
            yield Finding(
                "frames were dropped",
                f"{arrivals.dropped:,} of {arrivals.arrived:,} ({arrivals.dropped / arrivals.arrived:.2%}) were "
                "replaced by newer ones while the network was busy",
                "choose a faster network, fewer frames a second, or --queue all to see each of them wait",
                "note",
            )
        if arrivals.behind:
            share = arrivals.behind / arrivals.arrived
            yield Finding(
                "the source was slower than asked",
                f"{arrivals.behind:,} of {arrivals.arrived:,} frames came later than they were due ({share:.2%}, limit "
                f"{ODD_FRAMES_LIMIT:.0%})",
                "choose a lower --fps, or record the frames first: edgebench record",
                "warning" if share >= ODD_FRAMES_LIMIT else "note",
            )
    if deadline is not None and deadline.missed and deadline.missed_share is not None:
        yield Finding(
            "deadlines were missed",
            f"{deadline.missed:,} of {deadline.missed_share.n:,} frames had no answer within "
            f"{round(deadline.deadline_ms, 2):g} ms, up to {deadline.longest_burst:,} in a row",
            "choose a faster network or a later deadline: --deadline",
            "note",
        )


def _overload(arrivals: ArrivalsSummary, queue: str | None) -> Iterator[Finding]:
    """An unbounded queue grows for as long as the run lasts, and so do the latencies; any other only drops."""
    if arrivals.utilisation is not None and arrivals.utilisation >= UTILISATION_LIMIT:
        yield Finding(
            "the network is slower than the frames come",
            f"utilisation {arrivals.utilisation:.2f} (limit {UTILISATION_LIMIT:.0f})"
            + (": the queue grew throughout, and the latencies are those of this length of run" * (queue == "all")),
            "choose a faster network or fewer frames a second",
            "warning" if queue == "all" else "note",
        )


def _still_warming(heat: HeatSummary | None) -> Iterator[Finding]:
    """Of a run that was long enough to settle."""
    if heat is not None and heat.steady_after_s is None and heat.seconds >= SOAK_S:
        yield Finding(
            "the temperature did not settle",
            f"{heat.zone} went from {heat.start_c:.0f} to {heat.end_c:.0f} °C in {heat.seconds / 60:.0f} min",
            "measure longer: --duration; what a warmer board does is not shown yet",
            "note",
        )


def _judge_run(evidence: Evidence) -> Iterator[Finding]:
    if not evidence.complete:
        yield Finding(
            "the run is incomplete",
            "it ended before all its frames were measured; the figures are those of the frames recorded",
            "run again for the whole",
            "note",
        )
    if evidence.seeded:
        yield Finding(
            "the run is repeatable",
            "the gates were drawn from a seed",
            "leave out --seed in the field: an attacker who knows the seed knows the routes",
            "note",
        )
