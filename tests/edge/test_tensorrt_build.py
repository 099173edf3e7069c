"""Every stage of every shipped network through the parser and builder of tensorrt_rtx, which need no GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from edge.backends.base import BackendError
from edge.backends.tensorrt.builder import Builder
from edge.backends.tensorrt.engines import PRECISIONS, Precision
from edge.backends.tensorrt.library import Library, find_library
from edge.backends.tensorrt.obtain import EngineBuilt, Request, SingleGraph, obtain
from edge.backends.tensorrt.prepare import prepare, segment_part, stage_part, whole_part
from edge.backends.tensorrt.targets import Machine
from edge.bundle import Bundle, open_bundle
from edge.models import model_folder, shipped
from export.onnx.nested import nested

pytest.importorskip("tensorrt_rtx", reason="install tensorrt-rtx-cu13 to build engines")

HERE = Machine(jetson=False, device=None)
TARGETS = ("sm86", "sm89")
ELEMENTS = {"FLOAT": "float32", "HALF": "float16", "INT8": "int8", "INT64": "int64", "BOOL": "bool"}


@pytest.fixture(scope="module")
def library() -> Library:
    return find_library(HERE)


@pytest.fixture(scope="module")
def bundle(calibrated: Path) -> Bundle:
    return open_bundle(calibrated)


class Watching(Builder):
    """Keeps what TensorRT itself says of the inputs and outputs, after they were declared.

    With `targets` an engine is built for all of them at once, in the time of one.
    """

    targets: Sequence[str] = ()

    def _configure(self, config: Any) -> Any:
        timing_cache = super()._configure(config)
        if self.targets:
            config.num_compute_capabilities = len(self.targets)
        for index, target in enumerate(self.targets):
            capability = getattr(self._library.module.ComputeCapability, target.upper())
            assert config.set_compute_capability(capability, index)
            assert config.get_compute_capability(index) == capability
        return timing_cache

    def _declare(self, network: Any, part: Any, what: str) -> None:
        super()._declare(network, part, what)
        tensors = [network.get_input(index) for index in range(network.num_inputs)]
        tensors += [network.get_output(index) for index in range(network.num_outputs)]
        self.seen = {
            tensor.name: (tuple(tensor.shape), ELEMENTS[tensor.dtype.name], tensor.allowed_formats)
            for tensor in tensors
        }


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", shipped())
def test_every_stage_for_two_targets(name: str, precision: Precision, library: Library) -> None:
    bundle = open_bundle(model_folder(name))
    prepared = prepare(bundle, precision, library.newest_opset)
    builder = Watching(library, TARGETS[0], precision)
    builder.targets = TARGETS
    formats = library.module.TensorFormat
    for stage in bundle.network.stages:
        part = stage_part(prepared, stage, precision)
        plan = builder.build(part, stage).plan
        # Weights are in it: in int8 a byte each at least.
        assert len(plan) > bundle.network.stages[stage].parameters * {"fp32": 4, "fp16": 2, "int8": 1}[precision] * 0.9
        assert builder.seen == {
            boundary.name: (boundary.shape, boundary.element, 1 << int(getattr(formats, boundary.layout)))
            for boundary in (*part.inputs, *part.outputs)
        }


@pytest.mark.parametrize("precision", PRECISIONS)
def test_segments_and_the_single_graph(bundle: Bundle, precision: Precision, library: Library) -> None:
    network = bundle.network
    prepared = prepare(bundle, precision, library.newest_opset)
    builder = Watching(library, "sm86", precision)
    for segment in (network.segment("0101", 0, 0), network.segment("0101", network.exit_positions[0], 1)):
        part = segment_part(prepared, segment, precision)
        builder.build(part, "segment")
        assert set(builder.seen) == {boundary.name for boundary in (*part.inputs, *part.outputs)}
    whole = whole_part(nested(prepared, [0.9, None], gates_as_inputs=True))
    builder.build(whole, "single graph")
    assert [boundary.name for boundary in whole.inputs] == ["image", "keep0", "keep1", "keep2", "keep3"]
    assert {name: seen[1] for name, seen in builder.seen.items()} == {
        **{"image": "float32", "scores": "float32", "exit": "int64", "confidence": "float32"},
        **dict.fromkeys(("keep0", "keep1", "keep2", "keep3"), "bool"),
    }


def test_what_the_parser_refuses_is_told_in_its_words(bundle: Bundle, library: Library) -> None:
    node = helper.make_node("Det", ["x"], ["y"])
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", (1, 2, 2)), ("y", (1,)))
    )
    graph = helper.make_graph([node], "determinant", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    with pytest.raises(
        BackendError, match=r"tensorrt_rtx \S+ cannot read head for sm86 in fp32: .*Det.*UNSUPPORTED_NODE"
    ):
        Builder(library, "sm86", "fp32").build(whole_part(model), "head")


def test_what_the_builder_refuses_is_told_in_its_words(bundle: Bundle, library: Library) -> None:
    """Turing has no float32 products in it."""
    part = stage_part(prepare(bundle, "fp32", 20), "head0", "fp32")
    with pytest.raises(BackendError, match=r"cannot build head0 for sm75 in fp32: .+"):
        Builder(library, "sm75", "fp32").build(part, "head0")


def test_a_network_is_built_once(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    segment = bundle.network.segment("1111", 0, 0)
    request = Request("int8", "sm86", (segment,), SingleGraph("all", lambda models: nested(models, [0.5, 0.5])))
    steps: list[EngineBuilt] = []
    first = obtain(bundle, request, steps.append, machine=HERE)
    count = len(bundle.network.stages) + 2
    assert (first.built, first.notes, first.unkept) == (count, (), None)
    assert [(step.step, step.steps) for step in steps] == [(index, count) for index in range(count + 1)]
    again = obtain(bundle, request, machine=HERE)
    assert (again.built, again.notes) == (0, ())
    assert again.engines == first.engines
    # Only what differs is built.
    assert obtain(bundle, Request("int8", "sm86"), machine=HERE).built == 0
    assert obtain(bundle, Request("int8", "sm86", (bundle.network.policy_segment(),)), machine=HERE).built == 1
