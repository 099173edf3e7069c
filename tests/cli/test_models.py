"""`edgebench models`: whole outputs on toy bundles, and how names find folders."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edge.bundle import BundleError, open_bundle
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
