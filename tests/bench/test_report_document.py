"""The JSON document: every key of the contract, null where nothing was measured."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import runs

from bench.report.document import document, render_json
from bench.report.facts import FactsError, NetworkFacts, facts_from_json, facts_to_json
from bench.summarise import summarise_run
from bench.summary import Estimate, LatencySummary, NetworkSummary, PathSummary, RunSummary, Verdict

NUMBER = (int, float)
ESTIMATE = {"value": NUMBER, "low": NUMBER, "high": NUMBER}
FIGURES = ("mean", "p50", "p90", "p95", "p99", "max")
SCOPES = ("kernel", "inference", "with-transfers", "capture-to-result")

# What a key holds: a type, an object by its keys, a list by its elements; `None` beside one says that it may be null.
CONTRACT = {
    "schema": int,
    "model": str,
    "bundle": {"digest": str},
    "backend": str,
    "controller": str,
    "source": str,
    "frames": int,
    "latency_ms": {scope: (None, dict.fromkeys(FIGURES, (None, ESTIMATE))) for scope in SCOPES},
    "accuracy": (None, {**ESTIMATE, "n": int}),
    "paths": [{"route": str, "exit": int, "count": int, "share": NUMBER, "latency_ms": NUMBER}],
    "exits": list,
    "energy_mj": (None, ESTIMATE),
    "baseline": (None, {"model": str}),
    "reduction": (None, ESTIMATE),
    "verdict": {"trusted": bool, "findings": [{"what": str, "evidence": str, "advice": str}]},
    "environment": dict,
    "run": {"id": str, "folder": str},
}


def misfits(value: object, wanted: object, at: str = "") -> list[str]:
    """The places where a document does not keep the contract."""
    if isinstance(wanted, tuple) and wanted[0] is None:
        return [] if value is None else misfits(value, wanted[1], at)
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return [f"{at}: no object"]
        missing = [f"{at}.{key}: missing" for key in wanted if key not in value]
        return missing + [
            each for key in wanted if key in value for each in misfits(value[key], wanted[key], f"{at}.{key}")
        ]
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return [f"{at}: no list"]
        return [each for index, element in enumerate(value) for each in misfits(element, wanted[0], f"{at}[{index}]")]
    return [] if isinstance(value, wanted) else [f"{at}: {value!r}"]


def summarised(frames: int, baseline: bool) -> RunSummary:
    facts = runs.facts(baseline)
    of_baseline = "resnet18" if baseline else None
    gates = {"gusodrop": 8, "resnet18": 0}
    return summarise_run(
        runs.records(facts, frames), "gusodrop", of_baseline, gates, runs.QUIET, seeded=False, complete=True
    )


@pytest.mark.parametrize("frames", [0, 25, 420])
@pytest.mark.parametrize("baseline", [False, True])
def test_the_contract_is_kept(frames: int, baseline: bool) -> None:
    content = json.loads(render_json(document(runs.facts(baseline), summarised(frames, baseline))))

    assert misfits(content, CONTRACT) == []


def test_what_was_not_measured_is_null() -> None:
    content = document(runs.facts(), summarised(25, baseline=False))

    assert content["latency_ms"]["kernel"] is None
    assert content["latency_ms"]["with-transfers"] is None
    assert content["latency_ms"]["inference"]["p99"] is None
    assert (content["energy_mj"], content["baseline"], content["reduction"]) == (None, None, None)


def test_figures_stand_where_they_belong() -> None:
    def estimate(value: float) -> Estimate:
        return Estimate(value, value - 0.5, value + 0.5, 9)

    latency = LatencySummary(*(estimate(float(number)) for number in range(6)))
    model = NetworkSummary(
        network="gusodrop",
        frames=9,
        failed=1,
        latency_ms={"inference": latency},
        accuracy=estimate(10),
        agreement=estimate(11),
        paths=[PathSummary("01", 1, 3, 0.375, 1.5)],
        exits=[5, 3],
        gates=2,
        kept_blocks=estimate(12),
        route_entropy_bits=0.5,
        cold_frames=2,
    )

    content = document(runs.facts(), RunSummary(model, None, estimate(13), Verdict(True, []), complete=False))

    assert [content["latency_ms"]["inference"][figure]["value"] for figure in FIGURES] == [0, 1, 2, 3, 4, 5]
    assert content["accuracy"] == {"value": 10, "low": 9.5, "high": 10.5, "n": 9}
    assert (content["frames"], content["failed_frames"], content["cold_frames"]) == (9, 1, 2)
    assert content["exits"] == [{"exit": 0, "count": 5, "share": 0.625}, {"exit": 1, "count": 3, "share": 0.375}]
    assert (content["agreement"]["value"], content["kept_blocks"]["value"]) == (11, 12)
    assert (content["reduction"]["value"], content["complete"]) == (13, False)


@pytest.mark.parametrize("baseline", [False, True])
@pytest.mark.parametrize("seed", [None, 0, 7])
def test_the_facts_of_a_run_are_read_back(baseline: bool, seed: int | None) -> None:
    facts = runs.facts(baseline, seed)

    assert facts_from_json(json.loads(json.dumps(facts_to_json(facts)))) == facts


def test_exits_and_controllers_are_read_back() -> None:
    model, baseline = NetworkFacts("sdn", "ab", 0, 3, "fixed:0"), NetworkFacts("resnet18", "cd", 8, 2, "all")
    facts = replace(runs.facts(), model=model, baseline=baseline, controller="fixed:0")

    assert facts_from_json(json.loads(json.dumps(facts_to_json(facts)))) == facts


def test_runs_from_before_exits_and_the_baselines_controller_are_read() -> None:
    written = facts_to_json(runs.facts(baseline=True))
    for network in (written, written["baseline"]):
        del network["bundle"]["exits"]
    del written["baseline"]["controller"]

    facts = facts_from_json(written)

    assert facts.baseline is not None
    assert (facts.model.exits, facts.baseline.exits, facts.baseline.controller) == (1, 1, None)


@pytest.mark.parametrize("exits", [0, -1, 10**15, True, "3", None])
def test_exits_that_no_network_has_are_refused(exits: object) -> None:
    written = facts_to_json(runs.facts())
    written["bundle"]["exits"] = exits

    with pytest.raises(FactsError, match="exits"):
        facts_from_json(written)


def test_the_facts_are_read_back_from_the_whole_document() -> None:
    facts = runs.facts(baseline=True)

    assert facts_from_json(document(facts, summarised(25, baseline=True))) == facts
