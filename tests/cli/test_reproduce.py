"""`edgebench reproduce`, on a tiny network and images of noise."""

from __future__ import annotations

import json
from pathlib import Path

import cifar_files
import pytest

needs_torch = pytest.mark.torch
pytestmark = pytest.mark.usefixtures("threads_as_they_were")


@pytest.fixture
def data(edgebench, monkeypatch) -> Path:
    folder = Path("noise")
    folder.mkdir()
    monkeypatch.setenv("EDGEBENCH_DATA", str(cifar_files.write_noise(folder).resolve()))
    return folder


@needs_torch
@pytest.mark.slow
def test_a_trained_network_is_found_by_name_and_what_is_missing_is_named(
    edgebench, data, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("edge.models._SHIPPED", tmp_path / "nothing")
    recipe = "sdn-mobilenet-cifar10"
    assert (
        edgebench("train", recipe, "--quick", "--threads", "1", "--work", "work", "--out", f"bundles/{recipe}").status
        == 0
    )
    words = ("reproduce", "dynn-efficiency", "--bundles", "bundles", "--out", "found", "--quick", "--images", "4")

    ended = edgebench(*words)

    assert ended.status == 0, ended.err
    assert ended.out.startswith("dynn-efficiency  Do examples of static networks")
    assert "sdn-resnet56-cifar10 is neither shipped nor in bundles" in ended.out
    for name in ("dynn-efficiency.json", "dynn-efficiency.csv"):
        assert (Path("found") / name).stat().st_size
    document = json.loads(edgebench(*words, "--json").out)
    assert document == json.loads(Path("found/dynn-efficiency.json").read_text())
    assert {each["setting"] for each in document["figures"]} == {"white box sdn-mobilenet-cifar10-quick"}
    alone = edgebench(*words[:4], "--model", recipe, "--out", "found", "--quick", "--images", "4", "--json")
    assert json.loads(alone.out)["not_run"] == []


@needs_torch
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dynn-table-9"], "invalid choice: 'dynn-table-9'"),
        (["dynn-first-exit", "--eps", "2"], "'2' is not a radius above 0 and up to 1, such as 8/255"),
        (["dynn-first-exit", "--out", "noise"], "noise holds something else than results"),
        (["dynn-early-attack", "--alphas", "1,0"], "'1,0' is no list of numbers above 0, such as 0.1,1,20"),
        (
            ["dynn-first-exit", "--alphas", "1"],
            "dynn-first-exit has no alphas. Leave them out, or run dynn-early-attack",
        ),
        (["dynn-first-exit", "--model", "gusodrop"], "gusodrop has no early exits"),
        (["dynn-first-exit", "--picture", "p.tif"], "a picture's name ends in"),
    ],
)
def test_what_cannot_be_reproduced_is_refused_in_one_sentence(edgebench, data, words, said) -> None:
    ended = edgebench("reproduce", "--out", "found", *words)

    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err.splitlines()[-1]


@needs_torch
def test_without_networks_it_is_said_how_they_are_made(edgebench, data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("edge.models._SHIPPED", tmp_path / "nothing")
    ended = edgebench("reproduce", "dynn-efficiency", "--out", "found")
    assert (ended.status, ended.out) == (2, "")
    assert "sdn-mobilenet-cifar10 is not shipped: edgebench train sdn-mobilenet-cifar10" in ended.err.splitlines()[-1]


@needs_torch
def test_without_data_the_folder_is_asked_for(edgebench, monkeypatch) -> None:
    monkeypatch.delenv("EDGEBENCH_DATA", raising=False)
    ended = edgebench("reproduce", "dynn-first-exit", "--out", "found")
    assert (ended.status, ended.err) == (
        2,
        "edgebench: the test images are missing. Name their folder with --data or EDGEBENCH_DATA.\n",
    )
