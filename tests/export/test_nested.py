"""The single file with nested `If` against the staged runtime, for every threshold of a table."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from toys import both_bundle, exit_bundle

from devices.datasets.cifar import read_cifar
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import open_bundle
from edge.controllers.composed import Composed
from edge.controllers.confidence import Confidence
from edge.controllers.constant import Fixed
from edge.runtime import Runtime
from export.onnx.nested import IMAGE, OUTPUTS, nested

IMAGES = 40
TABLE = ["0;0;0", "0.5;0.5;0.5", "0.7;0.7;0.7", "0.9;0.9;0.9", "1;1;1", "-;0.6;0.8", "0.9;-;-", "-;-;-", "0.95;0.6;0.4"]


def images() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [np.ones((1, 3, 16, 16), np.float32) * generator.random((1, 3, 1, 1), np.float32) for _ in range(IMAGES)]


def limits(thresholds: str) -> list[float | None]:
    return [None if each == "-" else float(each) for each in thresholds.split(";")]


def test_every_threshold_gives_the_exits_and_scores_of_the_staged_runtime(tmp_path: Path) -> None:
    bundle = open_bundle(exit_bundle(tmp_path / "toy", channels=8, classes=4, size=16, exits=4))
    backend = OnnxRuntime(cache=False).open(bundle, 1)
    seen = set()
    for thresholds in TABLE:
        runtime = Runtime(bundle.network, backend, Confidence(thresholds=thresholds))
        session = onnxruntime.InferenceSession(
            nested(bundle, limits(thresholds)).SerializeToString(), providers=["CPUExecutionProvider"]
        )
        for image in images():
            staged = runtime.infer(image)
            scores, exit_, confidence = session.run(list(OUTPUTS), {IMAGE: image})
            assert int(exit_) == staged.exit
            np.testing.assert_allclose(scores[0], staged.scores, rtol=1e-4, atol=1e-5)
            softmax = np.exp(scores[0] - scores[0].max())
            assert float(confidence) == pytest.approx(float((softmax / softmax.sum()).max()), rel=1e-5)
            seen.add(staged.exit)
    assert seen == {0, 1, 2, 3}


def test_gates_as_inputs_give_every_route(tmp_path: Path) -> None:
    bundle = open_bundle(both_bundle(tmp_path / "toy", channels=8, classes=4, size=16, exits=3))
    backend = OnnxRuntime(plan="staged").open(bundle, 1)
    model = nested(bundle, [0.6, 0.6], gates_as_inputs=True)
    assert [value.name for value in model.graph.input] == [IMAGE, "keep0", "keep1", "keep2", "keep3"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    seen = set()
    for bits in itertools.product((False, True), repeat=4):
        runtime = Runtime(
            bundle.network, backend, Composed([Fixed("".join("01"[bit] for bit in bits)), Confidence(0.6)])
        )
        keep = {f"keep{gate}": np.array(bit) for gate, bit in enumerate(bits)}
        for image in images()[:4]:
            staged = runtime.infer(image)
            scores, exit_, _ = session.run(list(OUTPUTS), {IMAGE: image, **keep})
            assert int(exit_) == staged.exit
            np.testing.assert_allclose(scores[0], staged.scores, rtol=1e-4, atol=1e-5)
            seen.add(staged.exit)
    assert len(seen) > 1


def test_the_gates_are_those_of_a_route(tmp_path: Path) -> None:
    bundle = open_bundle(both_bundle(tmp_path / "toy", channels=8, classes=4, size=16, exits=3))
    backend = OnnxRuntime(plan="staged").open(bundle, 1)
    for route in ("1111", "1010", "0000"):
        runtime = Runtime(bundle.network, backend, Composed([Fixed(route), Confidence(0.6)]))
        session = onnxruntime.InferenceSession(
            nested(bundle, [0.6, 0.6], route).SerializeToString(), providers=["CPUExecutionProvider"]
        )
        for image in images()[:8]:
            staged = runtime.infer(image)
            scores, exit_, _ = session.run(list(OUTPUTS), {IMAGE: image})
            assert int(exit_) == staged.exit
            np.testing.assert_allclose(scores[0], staged.scores, rtol=1e-4, atol=1e-5)


def test_what_comes_behind_an_exit_lies_inside_its_if(tmp_path: Path) -> None:
    bundle = open_bundle(exit_bundle(tmp_path / "toy", channels=8, classes=4, size=16, exits=4))
    model = nested(bundle, [0.5, None, 0.5])
    convolutions = []
    graph: onnx.GraphProto | None = model.graph
    while graph is not None:
        convolutions.append(sum(node.op_type == "Conv" for node in graph.node))
        inner = [node for node in graph.node if node.op_type == "If"]
        branches = {attribute.name: attribute.g for attribute in inner[0].attribute} if inner else {}
        graph = branches.get("else_branch")
    # Stem and a block of two; two blocks (one with a projection); the last.
    assert convolutions == [3, 5, 2]
    stages = [*bundle.network.order, "head0", "head2", "head3"]
    assert len(model.graph.initializer) == sum(len(bundle.stage_model(stage).graph.initializer) for stage in stages)


def test_thresholds_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    bundle = open_bundle(exit_bundle(tmp_path / "toy", channels=8, classes=4, size=16, exits=3))
    with pytest.raises(ValueError, match="1 thresholds were given for 2 exits before the last"):
        nested(bundle, [0.5])


@pytest.mark.slow
@pytest.mark.data
def test_five_hundred_photographs_leave_where_they_leave_on_the_staged_runtime(data_folder, tmp_path: Path) -> None:
    """CIFAR-10's test images through a narrow network with random weights and seven exits."""
    bundle = open_bundle(exit_bundle(tmp_path / "toy", blocks=8, channels=4, classes=10, size=32, exits=7))
    tensors = read_cifar(data_folder, "cifar10", "test").images[::10][:500].transpose(0, 3, 1, 2)[:, None] / 255
    assert len(tensors) == 500
    backend = OnnxRuntime(cache=False).open(bundle, 1)
    taken, compared = set(), 0
    for threshold in (0.2, 0.4, 0.6, 0.8, 0.95):
        runtime = Runtime(bundle.network, backend, Confidence(threshold))
        model = nested(bundle, [threshold] * 6).SerializeToString()
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        for tensor in tensors.astype(np.float32):
            staged = runtime.infer(tensor)
            scores, exit_, _ = session.run(list(OUTPUTS), {IMAGE: tensor})
            # Within rounding of the threshold either may leave.
            if min(abs(each - threshold) for each in staged.confidences.values()) > 1e-5:
                compared += 1
                assert int(exit_) == staged.exit
                np.testing.assert_allclose(scores[0], staged.scores, rtol=1e-3, atol=1e-4)
            taken.add(staged.exit)
    assert compared >= 5 * 490
    assert len(taken) >= 5
