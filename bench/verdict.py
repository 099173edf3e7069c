"""Whether the figures of a run may be trusted, judged from what was seen while it ran."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from bench.summary import Estimate, Finding, Verdict

# At one frame in a hundred, what is missing or cold can be the whole of what lies beyond p99.
ODD_FRAMES_LIMIT = 0.01
DRIFT_LIMIT = 0.05
MEAN_UNCERTAINTY_LIMIT = 0.05
OTHERS_LIMIT = 0.10
SWAPPED_PAGES_LIMIT = 256
TRIP_MARGIN_C = 5.0
CLOCK_JUMP_LIMIT_S = 1.0
LATE_SETTLING_LIMIT = 0.10


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the machine did between the first frame and the last; None is "not measured".

    `others_share` is the share in [0, 1] of the usable cores' time that other processes took, `swapped_pages` the pages
    read from and written to swap, `trip_c` the temperature at which the zone of `hottest_c` is cooled by slowing down,
    `clock_jump_s` by how much the wall clock advanced more than the monotonic one.
    """

    others_share: float | None = None
    swapped_pages: int | None = None
    clocks_pinned: bool | None = None
    governors: tuple[str, ...] = ()
    throttle_events: int | None = None
    hottest_c: float | None = None
    trip_c: float | None = None
    clock_jump_s: float | None = None


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


def assess(evidence: Evidence) -> Verdict:
    """The verdict: a run is trusted unless a finding is a warning; warnings come first.

    A warning needs evidence that the figures suffered.  Free clocks alone are a note, since every laptop has them:
    where they do harm, drift or an uncertain mean shows it.  A percentile that is left out misleads nobody, and what
    was measured before an interruption stays measured: notes as well.
    """
    of_networks = (_judge_network(network) for network in evidence.networks)
    findings = [*chain.from_iterable(of_networks), *_judge_machine(evidence.conditions), *_judge_run(evidence)]
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


def _judge_machine(machine: Conditions) -> Iterator[Finding]:
    if machine.others_share is not None and machine.others_share > OTHERS_LIMIT:
        yield Finding(
            "other processes were on the cores",
            f"they took {machine.others_share:.0%} of the usable cores' time (limit {OTHERS_LIMIT:.0%})",
            "find them with top, stop them and run again",
        )
    if machine.swapped_pages is not None and machine.swapped_pages >= SWAPPED_PAGES_LIMIT:
        yield Finding(
            "the machine swapped",
            f"{machine.swapped_pages} pages went in or out during the run (limit {SWAPPED_PAGES_LIMIT})",
            "free memory (free -h shows what there is) and run again",
        )
    if machine.throttle_events:
        yield Finding(
            "the machine throttled",
            f"{machine.throttle_events} throttle events during the run (limit 0)",
            "cool the board, or choose a power mode that it can hold, and run again",
        )
    yield from _heat(machine)
    yield from _clocks(machine)
    if machine.clock_jump_s is not None and abs(machine.clock_jump_s) > CLOCK_JUMP_LIMIT_S:
        yield Finding(
            "the wall clock jumped",
            f"by {machine.clock_jump_s:+.1f} s against the monotonic clock (limit {CLOCK_JUMP_LIMIT_S:.0f} s)",
            "frame times are not affected; if the machine was suspended, run again",
            "note",
        )


def _heat(machine: Conditions) -> Iterator[Finding]:
    hottest, trip = machine.hottest_c, machine.trip_c
    if hottest is not None and trip is not None and hottest >= trip - TRIP_MARGIN_C:
        yield Finding(
            "the machine is hot",
            f"hottest zone {hottest:.1f} °C, slowed down from {trip:.1f} °C (margin {TRIP_MARGIN_C:.0f} °C)",
            "cool the board and run again",
            "warning" if hottest >= trip else "note",
        )


def _clocks(machine: Conditions) -> Iterator[Finding]:
    if machine.clocks_pinned:
        return
    unpinned = machine.clocks_pinned is False
    governors = f", governor {', '.join(machine.governors)}" if machine.governors else ""
    yield Finding(
        "the clocks are not pinned" if unpinned else "whether the clocks are pinned is unknown",
        ("their lowest and highest speed differ" if unpinned else "no clock speeds to read") + governors,
        "pin them where you can: sudo jetson_clocks, or sudo cpupower frequency-set -g performance",
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
