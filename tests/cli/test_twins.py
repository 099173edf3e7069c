"""`edgebench latency` and `report` on adversarial frames beside their clean twins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import twin_runs
import twin_streams

from devices.twins import Crafting
from edge.bundle import open_bundle

PAIRS = 30


def crafted_against(folder: Path) -> Crafting:
    bundle = open_bundle(folder)
    return twin_streams.crafting(bundle.digest, bundle.manifest.task.dataset)


@pytest.fixture
def stream(tmp_path: Path, gated: Path) -> str:
    """Twins that were crafted against the network `gated`."""
    twin_streams.write(tmp_path / "s.npz", PAIRS, 32, of=crafted_against(gated))
    return "recorded://s.npz"


def test_a_run_of_twins_as_a_page(edgebench, golden, tmp_path: Path) -> None:
    twin_runs.write_run(tmp_path / "monday", 600)

    ended = edgebench("report", "monday")

    assert (ended.status, ended.err) == (0, "")
    golden("report-twins.txt", ended.out)


def test_a_killed_run_of_twins_is_shown_as_far_as_it_came(edgebench, tmp_path: Path) -> None:
    folder = twin_runs.write_run(tmp_path / "monday", 60, finished=False)
    (folder / "frames.csv").write_bytes((folder / "frames.csv").read_bytes()[:-25])

    shown = edgebench("report", "monday").out

    assert "incomplete" in shown
    assert "slowdown" in shown
    assert "lost savings" in shown


def test_the_document_of_a_run_is_what_report_shows(edgebench, gated: Path, stream: str) -> None:
    ended = edgebench("latency", "--model", str(gated), "--source", stream, "--out", "monday", "--seed", "1", "--json")

    assert ended.status == 0
    document = json.loads(ended.out)
    twins = document["twins"]
    assert [each["twin"] for each in twins["versions"]] == ["clean", "adversarial"]
    assert [each["frames"] for each in twins["versions"]] == [PAIRS, PAIRS]
    assert [each["accuracy"]["n"] for each in twins["versions"]] == [PAIRS, PAIRS]
    assert twins["beside_clean"][0]["pairs"] == PAIRS
    assert twins["full_ms"]["mean"]["n"] == twins["ceiling_ms"]["mean"]["n"] == 2 * PAIRS
    assert 0 < twins["versions"][0]["efficacy"]["value"] < 1
    assert twins["versions"][0]["efficacy_trapezoid"] is None
    assert document["attack"]["attack"] == "pgd:eps=8/255"
    assert document["attack"]["transfer"] is False
    assert json.loads(edgebench("report", "monday", "--json").out) == document


def test_networks_beside_the_model_change_none_of_its_draws(edgebench, gated: Path, stream: str) -> None:
    words = ("latency", "--model", str(gated), "--source", stream, "--seed", "5", "--json")

    beside, alone = (json.loads(edgebench(*words, *more).out) for more in ((), ("--alone",)))

    assert alone["twins"]["full_ms"] is None
    routes = [[(path["route"], path["count"]) for path in each["paths"]] for each in (beside, alone)]
    assert routes[0] == routes[1]


def test_a_stream_against_another_bundle_is_refused(edgebench, exits: Path, gated: Path, stream: str) -> None:
    ended = edgebench("latency", "--model", str(exits), "--source", stream)

    assert (ended.status, ended.out) == (2, "")
    digests = [open_bundle(folder).digest[:12] for folder in (gated, exits)]
    assert ended.err == (
        f"edgebench: recorded://s.npz was crafted against toy-gated {digests[0]}, and this is toy-exits {digests[1]}. "
        "Give --transfer if that is meant.\n"
    )


def test_a_transfer_that_is_meant_is_replayed_and_said(edgebench, exits: Path, stream: str) -> None:
    ended = edgebench("latency", "--model", str(exits), "--source", stream, "--transfer")

    assert ended.status == 0
    assert "transferred to another network" in ended.out


def test_a_mixed_stream_has_its_share_and_bursts(edgebench, gated: Path, stream: str) -> None:
    words = ("--adversarial-share", "0.2", "--adversarial-bursts", "3", "--seed", "2", "--json")

    document = json.loads(edgebench("latency", "--model", str(gated), "--source", stream, *words).out)

    assert document["source"] == "recorded://s.npz?share=0.2,bursts=3,seed=2"
    assert document["twins"]["mixed"]
    assert [each["frames"] for each in document["twins"]["versions"]] == [24, 6]
    assert document["twins"]["full_ms"] is None


def test_floats_are_scored_beside_8_bit_frames(edgebench, gated: Path, tmp_path: Path) -> None:
    adversarial = twin_streams.frames(PAIRS, 32)[1]
    floats = (adversarial / 255).astype("float32")
    twin_streams.write(tmp_path / "s.npz", PAIRS, 32, of=crafted_against(gated), floats=floats)

    ended = edgebench("latency", "--model", str(gated), "--controller", "all", "--source", "recorded://s.npz", "--json")

    versions = {each["twin"]: each for each in json.loads(ended.out)["twins"]["versions"]}
    assert versions["floats"]["frames"] == PAIRS
    # What was rounded to nothing gives the same answers.
    assert versions["floats"]["accuracy"] == versions["adversarial"]["accuracy"]


def test_a_corruption_of_any_source(edgebench, gated: Path) -> None:
    words = ("--source", "synthetic://gtsrb", "--corruption", "gaussian:severity=5", "--frames", "40", "--json")

    document = json.loads(edgebench("latency", "--model", str(gated), *words).out)

    assert document["attack"]["attack"] == "gaussian:5"
    assert [(each["twin"], each["frames"]) for each in document["twins"]["versions"]] == [
        ("clean", 20),
        ("corrupted", 20),
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("--source", "synthetic://gtsrb", "--adversarial-share", "0.1"),
            "synthetic://gtsrb has no attacked frames. Name a stream with twins: --source recorded://s.npz.",
        ),
        (
            ("--source", "recorded://s.npz", "--adversarial-bursts", "3"),
            "bursts are of attacked frames. Say how many: --adversarial-share 0.1.",
        ),
        (
            ("--source", "recorded://s.npz", "--adversarial-share", "2"),
            "argument --adversarial-share: '2' is not a share from 0 to 1, such as 0.1. See edgebench latency --help.",
        ),
        (
            ("--source", "recorded://s.npz", "--corruption", "gaussian"),
            "the frames of recorded://s.npz have adversarial twins already, so --corruption is not for them. "
            "Leave it out.",
        ),
    ],
)
def test_options_that_do_not_go_together(
    edgebench, gated: Path, stream: str, words: tuple[str, ...], sentence: str
) -> None:
    ended = edgebench("latency", "--model", str(gated), *words)
    assert (ended.status, ended.out, ended.err) == (2, "", f"edgebench: {sentence}\n")


def test_a_stream_that_was_altered_is_one_sentence(edgebench, gated: Path, stream: str, tmp_path: Path) -> None:
    (tmp_path / "s.npz").write_bytes((tmp_path / "s.npz").read_bytes()[:2000])
    ended = edgebench("latency", "--model", str(gated), "--source", stream)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == "edgebench: s.npz is no numpy archive, or cut off: record the stream again\n"
