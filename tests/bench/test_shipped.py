"""The networks that come with the package: what they promise, and that the promise is kept on real scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.accuracy import measure_accuracy
from bench.cli.main import main
from devices.datasets.gtsrb import read_gtsrb
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import open_bundle
from edge.controllers.constant import KeepAll
from edge.controllers.gusodrop import GuSoDrop
from edge.models import model_folder, shipped
from edge.preprocess import Preprocessor
from edge.randomness import GateRandom
from edge.runtime import Runtime

MIB = 2**20
# Of right answers on the test images of GTSRB, and on rendered frames.
PROMISED = {"resnet18": (0.98, 0.90), "gusodrop": (0.96, 0.90)}


def test_all_bundles_together_stay_small() -> None:
    assert sum(open_bundle(model_folder(name)).size_bytes for name in shipped()) < 36 * MIB


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_the_stated_accuracy_is_what_was_promised(name: str) -> None:
    measured = open_bundle(model_folder(name)).manifest.measured
    assert measured is not None
    real, rendered = PROMISED[name]
    assert (measured.data, measured.n) == ("dataset://gtsrb/test", 6315)
    assert measured.accuracy.value >= real
    assert measured.more["rendered"]["value"] >= rendered


def test_the_policy_costs_at_most_three_percent_of_the_network() -> None:
    network = open_bundle(model_folder("gusodrop")).network
    assert network.policy is not None
    assert len(network.gates) == 8
    assert network.stages[network.policy].macs <= 0.03 * network.macs(network.full_route)


def test_rendered_frames_are_recognised_from_source_to_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--model", "gusodrop", "--baseline", "resnet18", "--frames", "240", "--seed", "1", "--json")
    assert main(["latency", *words, "--out", str(tmp_path / "run")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["accuracy"]["value"] > 0.85
    assert document["baseline"]["accuracy"]["value"] > 0.9
    assert document["agreement"]["value"] > 0.85
    assert document["kept_blocks"]["value"] < 8
    assert document["backend_details"]["plan"] == "fused"


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(PROMISED))
def test_the_stated_accuracy_holds_on_a_part_of_the_test_images(name: str, data_folder: Path) -> None:
    bundle = open_bundle(model_folder(name))
    controller = GuSoDrop() if name == "gusodrop" else KeepAll()
    runtime = Runtime(bundle.network, OnnxRuntime().open(bundle, 1), controller, random=GateRandom(0))
    data = read_gtsrb(data_folder, "test")
    rows = np.arange(0, len(data.labels), 10)
    estimate = measure_accuracy(runtime, Preprocessor(32, 32), data.images[rows], data.labels[rows])
    assert bundle.manifest.measured is not None
    stated = bundle.manifest.measured.accuracy.value
    # Four standard errors of a share near 0.97 in 632 images.
    assert abs(estimate.value - stated) < 4 * np.sqrt(0.03 * 0.97 / len(rows))
