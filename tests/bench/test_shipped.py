"""The networks that come with the package: what they promise, and that the promise is kept on real scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from labelled_tests import read_test_images

from bench.accuracy import measure_accuracy
from bench.cli.main import main
from bench.registry import make
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import open_bundle
from edge.models import model_folder, shipped
from edge.preprocess import Preprocessor
from edge.randomness import GateRandom
from edge.runtime import Runtime

MIB = 2**20
# Of right answers on the test images, by the last exit where there are more.
PROMISED = {"resnet18": 0.98, "gusodrop": 0.96, "sdn-mobilenet-cifar10": 0.89, "sdn-resnet56-cifar10": 0.87}
PROMISED_RENDERED = 0.90
TEST_IMAGES = {"gtsrb": 6315, "cifar10": 5000}


def test_every_bundle_promises_something() -> None:
    assert sorted(PROMISED) == shipped()


def test_all_bundles_together_stay_small() -> None:
    assert sum(open_bundle(model_folder(name)).size_bytes for name in shipped()) < 36 * MIB


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_the_stated_accuracy_is_what_was_promised(name: str) -> None:
    manifest = open_bundle(model_folder(name)).manifest
    task, measured = manifest.task.dataset, manifest.measured
    assert measured is not None
    assert (measured.data, measured.n) == (f"dataset://{task}/test", TEST_IMAGES[task])
    assert (measured.exits[-1] if measured.exits else measured.accuracy).value >= PROMISED[name]
    if task == "gtsrb":
        assert measured.more["rendered"]["value"] >= PROMISED_RENDERED


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
    controller, _ = make("controllers", bundle.manifest.controllers.default)
    runtime = Runtime(bundle.network, OnnxRuntime().open(bundle, 1), controller, random=GateRandom(0))
    data = read_test_images(bundle.manifest.task.dataset, data_folder)
    rows = np.arange(0, len(data.labels), 10)
    estimate = measure_accuracy(runtime, Preprocessor(32, 32), data.images[rows], data.labels[rows])
    assert bundle.manifest.measured is not None
    stated = bundle.manifest.measured.accuracy.value
    assert abs(estimate.value - stated) < 4 * np.sqrt(stated * (1 - stated) / len(rows))
