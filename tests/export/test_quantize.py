"""Ranges measured on images: shared where they must be, wide enough for what was seen, and kept in the bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import toys

from edge.backends.activations import stated_ranges
from edge.backends.int8 import shared_places
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.quantise import quantised
from edge.bundle import open_bundle, state_measured, write_bundle
from export.quantize import Histogram, quantize

SIZE = 16


def test_places_that_meet_share_a_range(calibrated: Path) -> None:
    bundle = open_bundle(calibrated)
    ranges = {stage: stated_ranges(bundle.stage_model(stage), stage) for stage in bundle.network.stages}
    pairs = list(shared_places(bundle.network))
    assert pairs
    for (stage, tensor), (other, its_tensor) in pairs:
        assert ranges[stage][tensor] == ranges[other][its_tensor]
    # Rectified tensors start at zero, sums of a block's two branches do not meet elsewhere.
    assert all(ranges[stage]["y"].low == 0 for stage in bundle.network.order)
    assert len({ranges[stage]["y"] for stage in bundle.network.order}) > 1
    quantised(bundle.network, {stage: bundle.stage_model(stage) for stage in bundle.network.stages})


def test_the_bundle_stays_what_it_was(tmp_path: Path) -> None:
    folder = toys.gated_bundle(tmp_path / "toy", size=SIZE, narrowed=True)
    before = state_measured(folder, toys.MEASURED)
    (folder / "NOTICE").write_text("from elsewhere")
    shutil.copytree(folder, tmp_path / "copy")
    after = quantize(folder, [toys.image(seed, size=SIZE) for seed in range(4)])
    assert after.digest != before.digest
    assert after.manifest.measured == before.manifest.measured
    assert after.size_bytes < before.size_bytes + 200 * len(before.network.stages) + 2000
    assert (folder / "NOTICE").read_text() == "from elsewhere"
    for stage in before.network.stages:
        old, new = (open_bundle(each).stage_model(stage) for each in (tmp_path / "copy", folder))
        del new.metadata_props[:]
        assert new == old


def test_the_same_images_give_the_same_bundle(tmp_path: Path) -> None:
    images = [toys.image(seed, size=SIZE) for seed in range(3)]
    folders = [toys.gated_bundle(tmp_path / name / "toy", size=SIZE) for name in ("first", "second")]
    assert quantize(folders[0], images).digest == quantize(folders[1], images).digest


def test_a_block_that_ends_in_a_pooling(tmp_path: Path) -> None:
    """Its output has the range of what is pooled, and the block behind it the same, as in a VGG."""
    folder = toys.exit_bundle(tmp_path / "toy", size=SIZE)
    bundle = open_bundle(folder)
    models = {stage: onnx.load(folder / each.file) for stage, each in bundle.network.stages.items()}
    nodes = models["block1"].graph.node
    nodes[-1].output[0] = "summed"
    nodes.append(onnx.helper.make_node("MaxPool", ["summed"], ["y"], kernel_shape=[3, 3], pads=[1] * 4))
    write_bundle(folder, bundle.manifest, models, overwrite=True)

    after = quantize(folder, [toys.image(seed, size=SIZE) for seed in range(4)])

    ranges = {stage: stated_ranges(after.stage_model(stage), stage) for stage in ("block1", "block2")}
    assert ranges["block1"]["summed"] == ranges["block1"]["y"] == ranges["block2"]["x"]
    segment, image = after.network.segment("", 0, len(after.network.exits) - 1), toys.image(9, size=SIZE)
    scores, expected = (
        OnnxRuntime(precision=precision, cache=False).open(after, threads=1).compile(segment).run(image)[1]
        for precision in ("int8", "fp32")
    )
    assert np.abs(scores - expected).max() < 0.1 * np.abs(expected).max()


def histogram(values: np.ndarray) -> Histogram:
    found = Histogram(float(min(values.min(), 0)), float(max(values.max(), 0)), np.zeros(2048, np.int64))
    found.add(values)
    return found


def rounding_error(values: np.ndarray, low: float, high: float) -> float:
    step = (high - low) / 255
    return float(((np.clip(np.rint(values / step) * step, low, high) - values) ** 2).mean())


@pytest.mark.parametrize("power", [1, 3])
def test_the_best_range_is_no_worse_than_others(power: int) -> None:
    """The oracle rounds the values themselves, of a light tail and of a heavy one."""
    values = np.abs(np.random.default_rng(0).normal(0, 1, 200_000)).astype(np.float32) ** power
    low, high = histogram(values).best_range()
    assert low == 0
    best = min(rounding_error(values, 0.0, values.max() * share) for share in np.linspace(0.05, 1, 96))
    assert rounding_error(values, low, high) < 1.1 * best


def test_one_outlier_does_not_widen_the_range() -> None:
    values = np.random.default_rng(0).random(1_000_000, np.float32)
    values[0] = 1.5
    high = histogram(values).best_range().high
    assert 0.99 <= high < 1.1
