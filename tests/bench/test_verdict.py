from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.machine_findings import Conditions
from bench.summary import ArrivalsSummary, DeadlineSummary, Estimate, Finding, HeatSummary
from bench.verdict import Evidence, NetworkEvidence, assess

QUIET_NETWORK = NetworkEvidence(
    network="gusodrop",
    frames=1000,
    failed=0,
    cold=0,
    not_carried=(),
    frames_needed=0,
    mean_ms=Estimate(2.0, 1.98, 2.02, 1000),
    drift=Estimate(0.001, -0.01, 0.012, 666),
    settled_after=0,
)
QUIET_MACHINE = Conditions(0.01, 0, True, ("performance",), 0, 50.0, 85.0, 0.0)
QUIET = Evidence((QUIET_NETWORK,), QUIET_MACHINE, seeded=False, complete=True)


def of_network(**changes: Any) -> Evidence:
    return replace(QUIET, networks=(replace(QUIET_NETWORK, **changes),))


def of_machine(**changes: Any) -> Evidence:
    return replace(QUIET, conditions=replace(QUIET_MACHINE, **changes))


def test_a_quiet_run_has_no_finding() -> None:
    assert assess(QUIET).trusted
    assert assess(QUIET).findings == []


ARRIVALS = ArrivalsSummary(1000, 1000, 0, 0, 0, 30.0, 0.6, None, None)
DEADLINE = DeadlineSummary(33.0, 0, 0, Estimate(0.0, 0.0, 0.004, 1000), 0, None, 10.0)
HEAT = HeatSummary("cpu-thermal", 45.0, 71.0, 71.0, None, None, 700.0)


def of_arrivals(queue: str = "newest", **changes: Any) -> Evidence:
    return replace(QUIET, arrivals=replace(ARRIVALS, **changes), deadline=DEADLINE, queue=queue)


def of_deadline(**changes: Any) -> Evidence:
    return replace(QUIET, deadline=replace(DEADLINE, **changes))


SILENT = None
CASES = [
    (of_arrivals(), SILENT, ""),
    (of_arrivals(utilisation=0.999), SILENT, ""),
    (of_arrivals(utilisation=1.0), "note", "utilisation 1.00 (limit 1)"),
    (of_arrivals("all", utilisation=1.25), "warning", "utilisation 1.25 (limit 1): the queue grew throughout"),
    (of_arrivals("4", utilisation=None), SILENT, ""),
    (of_arrivals(processed=960, dropped=40), "note", "40 of 1,000 (4.00%) were replaced by newer ones"),
    (of_arrivals(behind=9), "note", "9 of 1,000 frames came later than they were due (0.90%, limit 1%)"),
    (of_arrivals(behind=10), "warning", "10 of 1,000 frames came later"),
    (
        of_deadline(missed=3, late=1, longest_burst=2, missed_share=Estimate(0.003, 0.001, 0.009, 1000)),
        "note",
        "3 of 1,000 frames had no answer within 33 ms, up to 2 in a row",
    ),
    (replace(QUIET, heat=HEAT), "note", "cpu-thermal went from 45 to 71 °C in 12 min"),
    (replace(QUIET, heat=replace(HEAT, seconds=599.0)), SILENT, ""),
    (replace(QUIET, heat=replace(HEAT, steady_after_s=90.0)), SILENT, ""),
    (replace(QUIET, of_energy=(Finding("x: readings jump", "3 readings", "leave them out"),)), "warning", "3 readings"),
    (of_network(failed=1), "note", "1 of 1000 frames gave no answer (0.10%, limit 1%)"),
    (of_network(failed=9), "note", "9 of 1000"),
    (of_network(failed=10), "warning", "10 of 1000 frames gave no answer (1.00%, limit 1%)"),
    (of_network(cold=9), "note", "9 of 1000 frames waited"),
    (of_network(cold=10), "warning", "10 of 1000 frames waited for it (1.00%, limit 1%)"),
    (of_network(drift=Estimate(0.049, 0.03, 0.07, 600)), SILENT, ""),
    (of_network(drift=Estimate(0.05, 0.001, 0.1, 600)), "warning", "+5.0% [+0.1%, +10.0%], limit 5%"),
    (of_network(drift=Estimate(0.2, 0.0, 0.4, 600)), SILENT, ""),
    (of_network(drift=Estimate(-0.05, -0.1, -0.001, 600)), "warning", "-5.0% [-10.0%, -0.1%]"),
    (of_network(drift=None), SILENT, ""),
    (of_network(settled_after=100), SILENT, ""),
    (of_network(settled_after=101), "note", "101 of 1000 frames look like warm-up (limit 10%)"),
    (of_network(settled_after=1000), "note", "1000 of 1000 frames look like warm-up"),
    (of_network(settled_after=None), SILENT, ""),
    (of_network(mean_ms=Estimate(10.0, 9.5, 10.5, 1000)), SILENT, ""),
    (of_network(mean_ms=Estimate(2.0, 1.88, 2.12, 1000)), "warning", "known to ±6.0% from 1000 frames (limit ±5%)"),
    (of_network(mean_ms=None, frames=12, frames_needed=368), "warning", "12 answered frames carry no mean"),
    (of_network(not_carried=("p99",), frames=300, frames_needed=368), "note", "368 independent frames are needed, 300"),
    (of_network(not_carried=("p99",), frames_needed=368), "note", "1000 were measured, each much like the one before"),
    (of_network(frames=0), "warning", "0 frames"),
    (of_machine(others_share=0.10), SILENT, ""),
    (of_machine(others_share=0.11), "warning", "they took 11% of the usable cores' time (limit 10%)"),
    (of_machine(others_share=None), SILENT, ""),
    (of_machine(swapped_pages=255), SILENT, ""),
    (of_machine(swapped_pages=256), "warning", "256 pages"),
    (of_machine(swapped_pages=None), SILENT, ""),
    (of_machine(throttle_events=1), "warning", "1 throttle events"),
    (of_machine(throttle_events=None), SILENT, ""),
    (of_machine(throttled=("under-voltage",)), "warning", "it reports under-voltage"),
    (of_machine(hottest_c=79.9), SILENT, ""),
    (of_machine(hottest_c=80.0), "note", "hottest zone 80.0 °C, slowed down from 85.0 °C"),
    (of_machine(hottest_c=85.0), "warning", "hottest zone 85.0 °C"),
    (of_machine(hottest_c=99.0, trip_c=None), SILENT, ""),
    (of_machine(hottest_c=None), SILENT, ""),
    (of_machine(clocks_pinned=False, governors=("schedutil",)), "note", "differ, governor schedutil"),
    (of_machine(clocks_pinned=None, governors=()), "note", "no clock speeds to read"),
    (of_machine(clock_jump_s=1.0), SILENT, ""),
    (of_machine(clock_jump_s=-1.1), "note", "by -1.1 s against the monotonic clock"),
    (of_machine(clock_jump_s=None), SILENT, ""),
    (replace(QUIET, seeded=True), "note", "drawn from a seed"),
    (replace(QUIET, complete=False), "note", "those of the frames recorded"),
]


@pytest.mark.parametrize(("evidence", "severity", "said"), CASES, ids=[f"{index}" for index in range(len(CASES))])
def test_each_finding_says_the_fact_and_its_limit(evidence: Evidence, severity: str | None, said: str) -> None:
    verdict = assess(evidence)
    if severity is None:
        assert verdict.findings == []
        return
    (finding,) = verdict.findings
    assert finding.severity == severity
    assert said in finding.evidence
    assert finding.what
    assert finding.advice
    assert verdict.trusted == (severity == "note")


def test_the_frames_asked_for_are_those_that_would_do() -> None:
    def advice(evidence: Evidence) -> str:
        return assess(evidence).findings[0].advice

    assert "--frames 368" in advice(of_network(not_carried=("p99",), frames=300, frames_needed=368))
    assert "--frames 4000" in advice(of_network(not_carried=("p99",), frames_needed=368))
    # Twice the interval that is allowed takes four times the frames.
    assert "--frames 4000" in advice(of_network(mean_ms=Estimate(10.0, 9.0, 11.0, 1000)))


def test_findings_name_their_network_and_warnings_come_first() -> None:
    baseline = replace(QUIET_NETWORK, network="resnet18", failed=500)
    evidence = replace(of_network(failed=1), seeded=True)
    verdict = assess(replace(evidence, networks=(*evidence.networks, baseline)))
    assert [finding.what for finding in verdict.findings] == [
        "resnet18: frames failed",
        "gusodrop: frames failed",
        "the run is repeatable",
    ]
    assert not verdict.trusted


def test_free_clocks_without_harm_leave_a_laptop_trusted() -> None:
    verdict = assess(replace(QUIET, conditions=Conditions(clocks_pinned=False, governors=("powersave",))))
    assert verdict.trusted
