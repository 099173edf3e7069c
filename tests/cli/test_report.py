"""`edgebench report`: whole outputs on recorded runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import runs


def test_a_run_against_a_baseline(edgebench, golden, tmp_path: Path) -> None:
    runs.write_run(tmp_path / "monday", runs.facts(baseline=True), 2020)

    ended = edgebench("report", "monday")

    assert (ended.status, ended.err) == (0, "")
    golden("report-baseline.txt", ended.out)


def test_a_killed_run_is_shown_and_called_incomplete(edgebench, golden, tmp_path: Path) -> None:
    folder = runs.write_run(tmp_path / "monday", runs.facts(seed=7), 200, finished=False)
    rows = (folder / "frames.csv").read_bytes()
    (folder / "frames.csv").write_bytes(rows[:-25])

    ended = edgebench("report", "monday")

    assert (ended.status, ended.err) == (0, "")
    golden("report-killed.txt", ended.out)


def test_a_run_as_json(edgebench, golden, tmp_path: Path) -> None:
    runs.write_run(tmp_path / "monday", runs.facts(baseline=True), 420)

    ended = edgebench("report", "monday", "--json")

    assert (ended.status, ended.err) == (0, "")
    # Resampled intervals may differ in their last digits from one numpy to the next.
    golden("report.json", json.dumps(rounded(json.loads(ended.out)), indent=2) + "\n")


def rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 6) if isinstance(value, float) else value


def test_a_run_without_frames(edgebench, golden, tmp_path: Path) -> None:
    runs.write_run(tmp_path / "monday", runs.facts(), 0)

    ended = edgebench("report", "monday", "--strict")

    assert (ended.status, ended.err) == (1, "")
    golden("report-empty.txt", ended.out)


def test_strict_is_content_with_a_trusted_run(edgebench, tmp_path: Path) -> None:
    runs.write_run(tmp_path / "monday", runs.facts(), 1000)

    assert edgebench("report", "monday", "--strict").status == 0


def test_every_exit_of_the_network_is_told_though_no_frame_reached_it(edgebench, tmp_path: Path) -> None:
    facts = runs.facts()
    runs.write_run(tmp_path / "monday", replace(facts, model=replace(facts.model, exits=3)), 50)

    assert len(json.loads(edgebench("report", "monday", "--json").out)["exits"]) == 3


def test_what_the_sensors_said_is_shown_with_the_figures(edgebench, tmp_path: Path) -> None:
    folder = runs.write_run(tmp_path / "monday", runs.facts(), 40_000)
    sensors = {"board/VDD_IN": "power", "thermal/cpu-thermal": "celsius", "thermal/gpu-thermal": "celsius"}
    meter = {"name": "board", "scope": "board", "period_s": 0.1, "rails": ["board/VDD_IN"], "total": ["board/VDD_IN"]}
    idle_ns = [0, 400_000_000]
    (folder / "power.json").write_text(
        json.dumps({"schema": 1, "meters": [meter], "sensors": sensors, "idle_ns": idle_ns})
    )
    rows = ["monotonic_ns,sensor,value"]
    for tenth in range(8010):
        rows.append(f"{tenth * 10**8},board/VDD_IN,{4000 if tenth > 4 else 1000}")
        if tenth % 10 == 0:
            warming = 71 - 26 * 0.5 ** (tenth / 600)
            rows += [f"{tenth * 10**8},thermal/cpu-thermal,{warming:.0f}", f"{tenth * 10**8},thermal/gpu-thermal,50"]
    (folder / "power.csv").write_text("\n".join(rows) + "\n")

    document = json.loads(edgebench("report", "monday", "--json").out)
    shown = edgebench("report", "monday").out

    # 4 W for 20 ms.
    assert document["energy_mj"]["value"] == pytest.approx(80, rel=0.01)
    assert document["heat"]["zone"] == "cpu-thermal"
    assert "energy            80 mJ a frame" in shown
    assert "  a watt-hour     45,0" in shown
    assert "heat              steady after " in shown
    assert " min at 71 °C  cpu-thermal, 45 °C at first, 71 at most\n" in shown


def test_a_moved_run_is_shown_where_it_is(edgebench, tmp_path: Path) -> None:
    runs.write_run(tmp_path / "monday", runs.facts(), 50)
    (tmp_path / "monday").rename(tmp_path / "tuesday")

    assert edgebench("report", "tuesday").out.endswith("records           tuesday\n")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("schema", 2, "the run's document has schema 2, and this version reads only 1"),
        ("threads", True, "the run's document has no usable 'threads': it must be a whole number"),
        ("model", None, "the run's document has no usable 'model': it must be a text"),
        ("run", [], "the run's document has no usable 'run': it must be an object"),
        ("baseline", 3, "the run's document has no usable 'baseline': it must be an object"),
        ("environment", "x", "the run's document has no usable 'environment': it must be an object"),
    ],
)
def test_a_document_that_no_run_wrote(edgebench, tmp_path: Path, key: str, value: object, sentence: str) -> None:
    folder = runs.write_run(tmp_path / "monday", runs.facts(), 1)
    document = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**document, key: value}))

    ended = edgebench("report", "monday")

    assert (ended.status, ended.out) == (2, "")
    assert ended.err == f"edgebench: monday: {sentence}. Name the folder of a run.\n"
