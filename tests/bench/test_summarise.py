from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.machine_findings import Conditions
from bench.records import RunWriter, read_run
from bench.summarise import summarise_latency, summarise_network, summarise_run
from bench.timeline import FrameRecord

QUIET = Conditions(0.01, 0, True, ("performance",), 0, 50.0, 85.0, 0.0)
MS = 1_000_000


def frame(
    number: int,
    inference_ms: float = 2.0,
    network: str = "model",
    route: str = "11",
    **changes: object,
) -> FrameRecord:
    record = FrameRecord(
        frame=number,
        name=f"frame {number}",
        network=network,
        position=0,
        warm_up=False,
        arrival_ns=number * 10 * MS,
        capture_ns=None,
        preprocess_ns=MS // 2,
        policy_ns=0,
        decision_ns=0,
        segments_ns=int(inference_ms * MS),
        inference_ns=int(inference_ms * MS),
        route=route,
        exit=0,
        plan="fused",
        label=1,
        predicted=1,
        full_predicted=None,
        error=None,
    )
    return record._replace(**changes)  # type: ignore[arg-type]


def failed(number: int, **changes: object) -> FrameRecord:
    return frame(number, **{"predicted": None, "error": "scores are not finite", **changes})  # type: ignore[arg-type]


def run_of(model: Sequence[float], baseline: Sequence[float]) -> list[FrameRecord]:
    pairs = zip(model, baseline, strict=True)
    return [
        record
        for number, (of_model, of_baseline) in enumerate(pairs)
        for record in (frame(number, of_model), frame(number, of_baseline, "baseline", ""))
    ]


def jittered(n: int, seed: int, around_ms: float = 2.0) -> list[float]:
    return list(around_ms * np.exp(0.05 * np.random.default_rng(seed).standard_normal(n)))


def test_latencies_are_in_milliseconds_and_the_largest_is_a_fact() -> None:
    shuffled = random.Random(0).sample(range(1, 101), 100)
    summary = summarise_network([frame(number, number / 10) for number in shuffled], "model", 2)
    latency = summary.latency_ms["inference"]
    assert latency.mean is not None
    assert latency.p50 is not None
    assert latency.mean.value == pytest.approx(5.05)
    assert latency.p50.value == pytest.approx(5.0)
    assert latency.max is not None
    assert (latency.max.value, latency.max.low, latency.max.high, latency.max.n) == (10.0, 10.0, 10.0, 100)
    assert latency.p99 is None
    whole = summary.latency_ms["capture-to-result"].mean
    assert whole is not None
    assert whole.value == pytest.approx(5.55)


def test_warm_up_is_in_no_figure() -> None:
    records = [frame(number) for number in range(50)]
    warm_up = [
        frame(0, 500, route="00", warm_up=True, plan="cold", predicted=2),
        failed(0, warm_up=True),
    ]
    assert summarise_network(warm_up + records, "model", 2) == summarise_network(records, "model", 2)


def test_the_other_network_is_in_no_figure() -> None:
    records = [frame(number) for number in range(50)]
    other = [frame(number, 9, "baseline", predicted=2) for number in range(50)]
    assert summarise_network(records + other, "model", 2) == summarise_network(records, "model", 2)


def test_a_failed_frame_has_no_latency_and_is_wrong() -> None:
    records = [frame(number) for number in range(30)]
    records += [failed(number, inference_ns=10**12, route="", exit=9) for number in range(30, 40)]
    summary = summarise_network(records, "model", 2)
    assert (summary.frames, summary.failed) == (40, 10)
    assert summary.accuracy is not None
    assert (summary.accuracy.value, summary.accuracy.n) == (0.75, 40)
    longest = summary.latency_ms["inference"].max
    assert longest is not None
    assert (longest.value, longest.n) == (2.0, 30)
    assert [(path.route, path.count, path.share) for path in summary.paths] == [("11", 30, 1.0)]
    assert summary.exits == [30]


def test_accuracy_is_of_labelled_frames_and_agreement_of_checked_ones() -> None:
    records = [frame(number, label=None if number < 20 else number % 2) for number in range(40)]
    records = [record._replace(full_predicted=number % 4) for number, record in enumerate(records)]
    records += [failed(40, label=None, full_predicted=1), frame(41, label=None)]
    summary = summarise_network(records, "model", 2)
    assert summary.accuracy is not None
    assert summary.agreement is not None
    assert (summary.accuracy.value, summary.accuracy.n) == (0.5, 20)
    assert (summary.agreement.value, summary.agreement.n) == (10 / 41, 41)


def test_what_was_not_measured_is_none() -> None:
    summary = summarise_network([frame(number, label=None) for number in range(5)], "model", 0)
    assert (summary.accuracy, summary.agreement, summary.kept_blocks, summary.route_entropy_bits) == (None,) * 4
    assert summary.latency_ms["inference"].mean is None


def test_no_frame_at_all_is_no_figure_at_all() -> None:
    summary = summarise_network([], "model", 2)
    assert (summary.frames, summary.failed, summary.paths, summary.exits) == (0, 0, [], [0])
    assert summary.route_entropy_bits is None
    assert dataclasses.astuple(summary.latency_ms["inference"]) == (None,) * 6


def test_paths_come_most_frequent_first_with_their_medians() -> None:
    records = [frame(number, 4, route="11") for number in range(2)]
    records += [frame(number, number, route="01", exit=1) for number in range(2, 7)]
    records += [frame(number, 1, route="01", exit=0, plan="cold") for number in range(7, 9)]
    summary = summarise_network(records, "model", 2)
    assert [(path.route, path.exit, path.count, path.latency_ms) for path in summary.paths] == [
        ("01", 1, 5, 4.0),
        ("01", 0, 2, 1.0),
        ("11", 0, 2, 4.0),
    ]
    assert sum(path.share for path in summary.paths) == pytest.approx(1)
    assert summary.exits == [4, 5]
    assert summary.cold_frames == 2


def test_kept_blocks_and_entropy_are_those_of_the_routes() -> None:
    routes = ["1111", "0000", "1100", "0011"] * 100
    random.Random(1).shuffle(routes)
    summary = summarise_network([frame(number, route=route) for number, route in enumerate(routes)], "model", 4)
    assert summary.kept_blocks is not None
    assert summary.kept_blocks.value == pytest.approx(2)
    assert summary.kept_blocks.low < 2 < summary.kept_blocks.high
    assert summary.route_entropy_bits == pytest.approx(2)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from(["fast", "slow", "failed", "warm-up", "unlabelled"]), max_size=60))
def test_every_frame_is_counted_once(kinds: list[str]) -> None:
    made = {
        "fast": lambda number: frame(number, 1, route="01"),
        "slow": lambda number: frame(number, 3),
        "failed": failed,
        "warm-up": lambda number: frame(number, warm_up=True),
        "unlabelled": lambda number: frame(number, label=None, route="00"),
    }
    summary = summarise_network([made[kind](number) for number, kind in enumerate(kinds)], "model", 2)
    assert summary.frames == len(kinds) - kinds.count("warm-up")
    assert summary.frames - summary.failed == sum(path.count for path in summary.paths) == sum(summary.exits)
    labelled = summary.frames - kinds.count("unlabelled")
    assert (summary.accuracy.n if summary.accuracy else 0) == labelled


def test_the_reduction_pairs_frames_that_both_answered() -> None:
    records = run_of(jittered(400, 1, 1.5), jittered(400, 2, 2.0))
    spoilt = [
        *(record for record in records if not (record.frame == 7 and record.network == "baseline")),
        failed(7, network="baseline", inference_ns=10**13),
        frame(0, 900, warm_up=True),
        frame(400, 10**6, "baseline", ""),
    ]
    without_seven = [record for record in records if record.frame != 7]
    found = summarise_run(spoilt, "model", "baseline", {"model": 2}, QUIET, seeded=False, complete=True).reduction
    plain = summarise_run(
        without_seven, "model", "baseline", {"model": 2}, QUIET, seeded=False, complete=True
    ).reduction
    assert found == plain
    assert found is not None
    assert (found.n, found.value) == (399, pytest.approx(0.25, abs=0.01))
    assert found.low < 0.25 < found.high


def test_a_quiet_run_is_trusted_without_a_finding() -> None:
    summary = summarise_run(
        run_of(jittered(800, 3), jittered(800, 4)), "model", "baseline", {}, QUIET, seeded=False, complete=True
    )
    assert summary.verdict.trusted
    assert summary.verdict.findings == []
    assert summary.baseline is not None
    assert summary.baseline.network == "baseline"


def test_what_the_frames_show_reaches_the_verdict() -> None:
    slower = list(np.array(jittered(300, 5)) * np.linspace(1, 1.5, 300))
    records = [
        frame(number, ms, route="11" if number % 2 else "01", plan="cold" if number < 5 else "fused")
        for number, ms in enumerate(slower)
    ]
    records += [failed(number) for number in range(300, 310)]
    summary = summarise_run(records, "model", None, {"model": 2}, QUIET, seeded=True, complete=False)
    assert not summary.verdict.trusted
    assert [(finding.what, finding.severity) for finding in summary.verdict.findings] == [
        ("model: frames failed", "warning"),
        ("model: segments were compiled while measuring", "warning"),
        ("model: the latency drifted", "warning"),
        ("model: the mean latency is uncertain", "warning"),
        ("model: the latency did not settle", "note"),
        ("model: no p90, p95, p99", "note"),
        ("the run is incomplete", "note"),
        ("the run is repeatable", "note"),
    ]


@pytest.mark.parametrize(("routes", "said"), [(["11", "01"], True), (["11", "11"], False)])
def test_a_seed_is_a_finding_where_gates_were_drawn(routes: list[str], said: bool) -> None:
    records = [frame(number, route=routes[number % 2]) for number in range(10)]
    verdict = summarise_run(records, "model", None, {"model": 2}, QUIET, seeded=True, complete=True).verdict
    assert ("the run is repeatable" in [finding.what for finding in verdict.findings]) == said


def test_every_exit_of_a_network_is_counted_whether_taken_or_not() -> None:
    records = [frame(number, exit=1) for number in range(3)] + [frame(0, network="baseline", route="")]
    summary = summarise_run(
        records, "model", "baseline", {}, QUIET, exits={"model": 3, "baseline": 2}, seeded=False, complete=True
    )
    assert summary.model.exits == [0, 3, 0]
    assert summary.baseline is not None
    assert summary.baseline.exits == [1, 0]


def test_a_run_without_frames_says_so() -> None:
    summary = summarise_run([], "model", "baseline", {"model": 2}, Conditions(), seeded=False, complete=False)
    assert summary.reduction is None
    assert not summary.verdict.trusted
    assert summary.verdict.findings[0].what == "model: nothing was measured"


def test_two_networks_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="both called 'model'"):
        summarise_run([], "model", "model", {}, QUIET, seeded=False, complete=True)


def test_records_read_back_give_the_same_summary(tmp_path_factory: pytest.TempPathFactory) -> None:
    records = run_of(jittered(100, 6), jittered(100, 7))
    folder = tmp_path_factory.mktemp("run") / "run"
    with RunWriter(folder, {}) as writer:
        for record in records:
            writer.append(record)
        writer.finish({}, QUIET)
    run = read_run(folder)
    before = summarise_run(records, "model", "baseline", {"model": 2}, QUIET, seeded=False, complete=True)
    after = summarise_run(
        run.records, "model", "baseline", {"model": 2}, run.conditions, seeded=False, complete=run.complete
    )
    assert before == after


def test_one_latency_has_only_a_maximum() -> None:
    summary = summarise_latency(np.array([3.0]))
    assert summary.max is not None
    assert dataclasses.astuple(summary)[:5] == (None,) * 5
