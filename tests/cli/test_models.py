"""`edgebench models`: whole outputs on toy bundles, and how names find folders."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import toys

from edge.bundle import Accuracy, BundleError, open_bundle, state_measured
from edge.models import model_folder, shipped


def test_the_table(edgebench, golden, gated: Path, exits: Path, everything: Path) -> None:
    ended = edgebench("models", str(gated), str(exits), str(everything))

    assert (ended.status, ended.err) == (0, "")
    # Digests and sizes are those of the bytes that this version of onnx writes.
    golden("models.txt", re.sub(r" +[0-9.]+ MB  [0-9a-f]{8}$", "  SIZE  DIGEST", ended.out, flags=re.MULTILINE))


def test_the_document(edgebench, everything: Path) -> None:
    bundle = open_bundle(everything)

    (model,) = json.loads(edgebench("models", str(everything), "--json").out)["models"]

    assert (model["name"], model["digest"], model["size_bytes"]) == (bundle.name, bundle.digest, bundle.size_bytes)
    assert (model["gates"], model["exits"]) == (len(bundle.network.gates), len(bundle.network.exits))
    assert model["accuracy"] == {
        "value": 0.97,
        "low": 0.96,
        "high": 0.98,
        "n": 1000,
        "draws": 5,
        "data": "toy test",
    }
    assert model["macs"] == bundle.network.macs(bundle.network.full_route)
    assert model["policy_macs"] == bundle.network.stages["policy"].macs > 0


def test_what_a_network_lacks_is_null(edgebench, exits: Path) -> None:
    (model,) = json.loads(edgebench("models", str(exits), "--json").out)["models"]

    assert (model["policy_macs"], model["accuracy"]) == (None, None)


def test_all_shipped_models_are_listed(edgebench) -> None:
    ended = edgebench("models", "--json")

    assert [model["name"] for model in json.loads(ended.out)["models"]] == shipped()


def test_exits_are_listed_with_what_they_cost_and_how_right_they_are(edgebench, exits: Path, tmp_path: Path) -> None:
    shutil.copytree(exits, tmp_path / "toy")
    shares = (0.5, 0.75, 0.97)
    measured = replace(toys.MEASURED, exits=tuple(Accuracy(share, share - 0.1, 1.0) for share in shares))
    network = state_measured(tmp_path / "toy", measured).network

    (model,) = json.loads(edgebench("models", "toy", "--json").out)["models"]
    shown = edgebench("models", "toy").out.splitlines()[2:]

    assert [each["accuracy"]["value"] for each in model["by_exit"]] == list(shares)
    first, second = (network.stages[exit_.head].macs for exit_ in network.exits[:2])
    assert [each["macs"] for each in model["by_exit"]] == [
        network.macs("", 0),
        network.macs("", 1) + first,
        network.macs("", 2) + first + second,
    ]
    assert [line.split() for line in shown[::2]] == [
        ["leaving", "at", "exit", "0", "exit", "1", "exit", "2"],
        ["right", "50.0%", "75.0%", "97.0%"],
    ]
    assert shown[1].endswith("100.0%")


def test_what_is_not_shipped_is_listed_with_what_makes_it(edgebench, monkeypatch, everything: Path, tmp_path) -> None:
    (tmp_path / "shipped/elsewhere").mkdir(parents=True)
    text = (everything / "manifest.json").read_text()
    assert '"command": "toys"' in text
    text = text.replace('"command": "toys"', '"command": "edgebench train sdn-vgg16-cifar10 --seed 0"')
    (tmp_path / "shipped/elsewhere/toy-both.json").write_text(text)
    monkeypatch.setattr("edge.models._SHIPPED", tmp_path / "shipped")

    ended = edgebench("models", "--json")
    document = json.loads(ended.out)

    assert document["models"] == []
    (model,) = document["elsewhere"]
    assert (model["name"], model["folder"], model["size_bytes"]) == ("toy-both", None, None)
    assert model["accuracy"]["value"] == 0.97
    assert "sdn-vgg16-cifar10" not in document["recipes"]
    assert "sdn-resnet56-cifar10" in document["recipes"]
    shown = edgebench("models").out
    assert "edgebench train NAME" in shown
    assert re.search(
        r"^toy-both .* -  [0-9a-f]{8}\n"
        r"    leaving at     exit 0   exit 1   exit 2\n"
        r"    of the MACs     28.2%    74.2%   100.0%\n"
        r"    made by      edgebench train sdn-vgg16-cifar10 --seed 0$",
        shown,
        re.MULTILINE,
    )
    assert [each["macs"] for each in model["by_exit"]] == sorted(each["macs"] for each in model["by_exit"])
    assert max(map(len, shown.splitlines())) <= 120


def test_a_folder_is_its_own_name(gated: Path) -> None:
    assert model_folder(str(gated)) == gated


def test_a_shipped_name_comes_before_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (tmp_path / "shipped/gusodrop", tmp_path / "here/gusodrop", tmp_path / "shipped/resnet18"):
        folder.mkdir(parents=True)
        (folder / "manifest.json").touch()
    monkeypatch.setattr("edge.models._SHIPPED", tmp_path / "shipped")
    monkeypatch.chdir(tmp_path / "here")

    assert shipped() == ["gusodrop", "resnet18"]
    assert model_folder("gusodrop") == tmp_path / "shipped/gusodrop"
    assert model_folder("./gusodrop") == Path("gusodrop")
    with pytest.raises(BundleError, match=r"'resnet19': did you mean 'resnet18'\? shipped are gusodrop, resnet18"):
        model_folder("resnet19")
