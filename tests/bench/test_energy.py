"""Energy of frames, on boards whose power is known at every moment."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from power_signals import IDLE_MW, PATHS, Run, S, mixed, run_of

from bench.energy import EnergySummary, energy_to_json, summarise_energy
from bench.energy.records import Meter, PowerRecord
from bench.energy.summarise import frame_blocks, whole_meters
from bench.energy.trace import Trace

MS = 1_000_000


def summarise(run: Run, record: PowerRecord, *, paths: bool = True) -> EnergySummary:
    return summarise_energy(record, run.starts_ns, run.ends_ns, run.paths if paths else None)


def drawn_by_frame(run: Run) -> float:
    first, last = run.signal.energy_mj(np.array([run.starts_ns[0], run.ends_ns[-1]]))
    return float(last - first) / len(run.starts_ns)


def of(path: str) -> float:
    """Millijoules of a frame, idle part included."""
    above, milliseconds = PATHS[path]
    return above + IDLE_MW * milliseconds / 1000


def whats(summary: EnergySummary) -> list[str]:
    return [finding.what for finding in summary.findings]


@pytest.mark.parametrize("kind", ["averaged", "counted"])
@pytest.mark.parametrize(("period_ms", "pause_ms"), [(100, 0.0), (20, 10.0), (1, 10.0)])
def test_the_energy_of_a_frame_is_what_was_drawn(kind: str, period_ms: int, pause_ms: float) -> None:
    run = run_of(mixed(3000), pause_ms)
    summary = summarise(run, run.record(getattr(run.signal, kind)(period_ms * MS)), paths=False)
    expected = drawn_by_frame(run)
    assert summary.energy_mj is not None
    assert summary.energy_mj.value == pytest.approx(expected, rel=5e-3)
    assert summary.energy_mj.low < expected < summary.energy_mj.high
    assert summary.idle_mw is not None
    assert summary.idle_mw.value == pytest.approx(IDLE_MW)
    above = float(np.mean([PATHS[path][0] for path in run.paths]))
    assert summary.net_mj is not None
    assert summary.net_mj.value == pytest.approx(above, rel=1e-2)
    assert summary.net_mj.low < above < summary.net_mj.high
    assert summary.frames_per_watt_hour is not None
    assert summary.frames_per_watt_hour.value == pytest.approx(3.6e6 / summary.energy_mj.value)
    assert summary.frames_per_watt_hour.low <= summary.frames_per_watt_hour.value <= summary.frames_per_watt_hour.high
    assert summary.findings == []


def test_the_interval_covers_the_long_run_nine_times_in_ten() -> None:
    expected = float(np.mean([of(path) for path in PATHS]))
    hits = 0
    for seed in range(40):
        run = run_of(mixed(1500, seed=seed))
        energy = summarise(run, run.record(run.signal.averaged(20 * MS)), paths=False).energy_mj
        assert energy is not None
        hits += energy.low <= expected <= energy.high
    assert hits >= 35


def test_the_baseline_s_uncertainty_is_part_of_the_net_energy() -> None:
    run = run_of(mixed(3000))
    quiet = run.record(run.signal.averaged(20 * MS))
    trace = quiet.traces["chip/VDD_IN"]
    noise = np.where(trace.times_ns < 9 * S, np.random.default_rng(2).normal(0, 800, len(trace.times_ns)), 0.0)
    noisy = replace(quiet, traces={"chip/VDD_IN": replace(trace, values=trace.values + noise)})
    narrow, wide = (summarise(run, record, paths=False).net_mj for record in (quiet, noisy))
    assert narrow is not None
    assert wide is not None
    assert wide.high - wide.low > 1.05 * (narrow.high - narrow.low)


@given(st.integers(20, 400), st.integers(1, 40), st.integers(1, 200))
@settings(max_examples=60)
def test_blocks_of_frames_hold_equally_many_and_touch(frames: int, frame_ms: int, period_ms: int) -> None:
    starts = np.arange(frames, dtype=np.int64) * frame_ms * MS
    ends = starts + frame_ms * MS
    edges, size = frame_blocks(starts, ends, period_ms * MS)
    assert (np.diff(edges) == size * frame_ms * MS).all()
    assert edges[0] == 0
    assert frames - size < (len(edges) - 1) * size <= frames
    # A block never spans less than a reading, unless the whole run does.
    assert size * frame_ms >= min(period_ms, frames * frame_ms) or size == frames


@pytest.mark.parametrize("kind", ["averaged", "counted"])
@pytest.mark.parametrize(
    ("paths", "pause_ms", "period_ms"),
    [(mixed(24_000), 0.0, 20), (mixed(20_000, 500), 0.0, 100), (mixed(10_000, 50), 10.0, 100), (mixed(3000), 10.0, 1)],
)
def test_paths_are_told_apart_by_their_mix(kind: str, paths: list[str], pause_ms: float, period_ms: int) -> None:
    run = run_of(paths, pause_ms)
    told = summarise(run, run.record(getattr(run.signal, kind)(period_ms * MS))).paths
    assert {each.path for each in told} == {*PATHS}
    for each in told:
        assert each.count == run.paths.count(each.path)
        assert each.energy_mj.value == pytest.approx(of(each.path), rel=0.08)
        assert each.energy_mj.low - 1e-6 <= of(each.path) <= each.energy_mj.high + 1e-6


def test_paths_that_alternate_cannot_be_told_apart_by_a_slow_sensor() -> None:
    run = run_of(["11", "00"] * 5000)
    summary = summarise(run, run.record(run.signal.averaged(100 * MS)))
    assert summary.energy_mj is not None
    assert summary.paths == []
    assert whats(summary) == ["energy by path: 0 of 2 paths"]
    assert "mixed too evenly" in summary.findings[0].evidence


def test_a_path_taken_throughout_has_the_energy_of_the_frames() -> None:
    run = run_of(["10"] * 4000)
    (told,) = summarise(run, run.record(run.signal.averaged(100 * MS))).paths
    assert told.energy_mj.value == pytest.approx(of("10"), rel=2e-3)


@pytest.mark.parametrize(
    ("paths", "pause_ms", "idle", "what"),
    [
        (mixed(3000), 0.0, True, "energy by path: the run is short"),
        (mixed(3000), 9.0, False, "energy by path: the frames leave pauses"),
        ([*PATHS] * 19 + ["00"] * 0, 300.0, True, "energy by path: no path was taken often enough"),
    ],
)
def test_why_there_is_no_energy_by_path(paths: list[str], pause_ms: float, idle: bool, what: str) -> None:
    run = run_of(paths, pause_ms)
    record = run.record(run.signal.averaged(100 * MS))
    summary = summarise(run, record if idle else replace(record, idle_ns=None))
    assert summary.paths == []
    assert what in whats(summary)


def test_failed_frames_have_no_path_and_take_energy() -> None:
    run = run_of(mixed(20_000, 50))
    paths = ["" if index % 1000 < 50 else path for index, path in enumerate(run.paths)]
    summary = summarise_energy(run.record(run.signal.counted(100 * MS)), run.starts_ns, run.ends_ns, paths)
    assert {each.path for each in summary.paths} == {*PATHS}


def broken(trace: Trace, begin_s: float, end_s: float, value: float) -> Trace:
    within = (trace.times_ns > begin_s * S) & (trace.times_ns < end_s * S)
    return Trace.of(trace.kind, trace.times_ns, np.where(within, value, trace.values))


@pytest.mark.parametrize("kind", ["averaged", "counted"])
@pytest.mark.parametrize("value", [np.nan, -1e6])
def test_gaps_are_named_and_never_filled(kind: str, value: float) -> None:
    """Five of twelve seconds are lost; were they zeros or anything else, the energy of a frame would show it."""
    run = run_of(["10"] * 3000)
    trace = broken(getattr(run.signal, kind)(20 * MS), 13.0, 18.0, value)
    summary = summarise(run, run.record(trace), paths=False)
    assert summary.energy_mj is not None
    # A sensor that averages still shows idleness in its first reading of the run.
    assert summary.energy_mj.value == pytest.approx(of("10"), rel=2e-3)
    (finding,) = summary.findings
    assert finding.what == "chip/VDD_IN: readings are missing"
    assert finding.severity == "warning"
    assert finding.evidence.startswith("nothing is known of 5.0")
    assert ("249 readings failed" if np.isnan(value) else "249 were no power") in finding.evidence


def test_frames_in_gaps_that_are_unlike_the_others_leave_no_figure() -> None:
    """Where a busy machine holds up sampler and frames alike, the frames that are left are the quick ones."""
    run = run_of(["00"] * 3000 + ["11"] * 500)
    slow_s = float(run.starts_ns[3000]) / S
    summary = summarise(run, run.record(broken(run.signal.averaged(20 * MS), slow_s, 60.0, np.nan)), paths=False)
    assert summary.energy_mj is None
    assert summary.frames_per_watt_hour is None
    lost = next(finding for finding in summary.findings if finding.what == "the energy of a frame is not known")
    assert lost.evidence.startswith("readings are missing where frames took 5.9 ms, the others took 2.0 ms")


@pytest.mark.parametrize("value", [1.0, 1e12])
def test_a_counter_that_stands_still_has_failed(value: float) -> None:
    """No machine draws nothing: taken for 0, five seconds of this would halve the energy."""
    run = run_of(["10"] * 3000)
    summary = summarise(run, run.record(broken(run.signal.counted(20 * MS), 13.0, 18.0, value)), paths=False)
    assert summary.energy_mj is not None
    assert summary.energy_mj.value == pytest.approx(of("10"), rel=1e-6)
    assert whats(summary) == ["chip/VDD_IN: readings are missing"]


def test_a_sensor_that_goes_away_for_good_leaves_the_frames_before() -> None:
    run = run_of(["10"] * 3000)
    trace = run.signal.averaged(20 * MS)
    kept = trace.times_ns < 15 * S
    summary = summarise(run, run.record(Trace.of("power", trace.times_ns[kept], trace.values[kept])), paths=False)
    assert summary.energy_mj is not None
    # A sensor that averages still shows idleness in its first reading of the run.
    assert summary.energy_mj.value == pytest.approx(of("10"), rel=2e-3)
    assert "chip/VDD_IN: readings are missing" in whats(summary)


def test_a_part_that_fails_harms_the_total_no_more_than_one_that_was_never_there() -> None:
    run = run_of(["10"] * 3000)
    record = run.record(run.signal.averaged(20 * MS))
    rail = record.traces["chip/VDD_IN"]
    (meter,) = record.meters
    nothing = Trace.of("power", rail.times_ns, np.full(len(rail.times_ns), np.nan))
    both = replace(meter, rails=("chip/VDD_IN", "chip/part"))
    summary = summarise(run, replace(record, meters=(both,), traces={**record.traces, "chip/part": nothing}))
    assert summary.energy_mj is not None
    assert [rail.mean_mw is None for rail in summary.rails] == [False, True]
    finding = next(finding for finding in summary.findings if finding.what == "chip/part: readings are missing")
    assert finding.severity == "note"


def test_a_reading_that_jumps_is_named() -> None:
    run = run_of(["10"] * 3000)
    trace = broken(run.signal.averaged(20 * MS), 13.0, 13.03, 400_000.0)
    (finding,) = summarise(run, run.record(trace), paths=False).findings
    assert finding.what == "chip/VDD_IN: readings jump"
    assert "1 readings up to 400,000 mW stand alone where 5,000 mW are usual" in finding.evidence


def test_no_sensor_no_figure() -> None:
    run = run_of(["10"] * 100)
    summary = summarise(run, PowerRecord((), {}, None, None))
    assert energy_to_json(summary) is None
    assert whats(summary) == ["energy was not measured"]


def test_parts_without_a_total_stand_alone() -> None:
    run = run_of(["10"] * 3000)
    summary = summarise(run, run.record(run.signal.averaged(20 * MS), total=()))
    assert summary.energy_mj is None
    assert summary.rails[0].mean_mw is not None
    assert summary.rails[0].mean_mw.value == pytest.approx(5000.0, rel=2e-3)
    assert whats(summary) == ["energy has no total"]


def test_a_run_too_short_says_how_long_it_takes() -> None:
    run = run_of(["10"] * 100)
    summary = summarise(run, run.record(run.signal.averaged(100 * MS)))
    assert summary.energy_mj is None
    assert summary.findings[0].evidence == "100 frames in 0.4 s; it takes 20 frames over 2.0 s without gaps"


def test_a_baseline_above_the_run_is_none() -> None:
    run = run_of(["10"] * 3000)
    trace = broken(run.signal.averaged(20 * MS), 0.0, 9.5, 9000.0)
    assert "the idle baseline was not idle" in whats(summarise(run, run.record(trace), paths=False))


def test_a_processor_is_not_the_machine() -> None:
    run = run_of(["10"] * 3000)
    summary = summarise(run, run.record(run.signal.counted(20 * MS), scope="cpu package"), paths=False)
    assert summary.scope == "cpu package"
    assert whats(summary) == ["energy is not that of the whole machine"]


def test_a_board_s_total_stands_for_its_parts() -> None:
    board, processor, graphics, nothing = (
        Meter(name, scope, 0.1, ("a",), total)
        for name, scope, total in [
            ("chip", "board", ("a",)),
            ("rapl", "cpu package", ("a",)),
            ("nvml", "gpu", ("a",)),
            ("hwmon", "board", ()),
        ]
    )
    assert whole_meters([processor, nothing, board, graphics]) == [board]
    assert whole_meters([processor, nothing, graphics]) == [processor, graphics]


def test_the_document_is_json() -> None:
    run = run_of(mixed(20_000, 50))
    content = energy_to_json(summarise(run, run.record(run.signal.averaged(100 * MS))))
    assert content is not None
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert [*content][:5] == ["value", "low", "high", "n", "net"]
    assert {"idle_mw", "mean_mw", "frames_per_watt_hour", "rails", "paths", "scope", "frames"} <= {*content}
