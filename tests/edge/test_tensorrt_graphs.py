"""The graphs that TensorRT is given, held against the bundle's own on ONNX Runtime."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import toys
from labelled_tests import read_test_images
from onnx import TensorProto, helper, numpy_helper

from edge.backends.base import BackendError
from edge.backends.tensorrt.engines import PRECISIONS, Boundary, Precision
from edge.backends.tensorrt.half import in_half
from edge.backends.tensorrt.opset import lowered
from edge.backends.tensorrt.prepare import boundaries, prepare, segment_part, stage_part
from edge.bundle import Bundle, open_bundle
from edge.models import model_folder, shipped
from edge.network import Segment

OLD, NEW = 17, 20
# The share of the largest score by which random weights may move scores.
TOLERANCES = {"fp32": 1e-5, "fp16": 0.01, "int8": 0.15}


@pytest.fixture(scope="module")
def bundle(calibrated: Path) -> Bundle:
    return open_bundle(calibrated)


def run(model: onnx.ModelProto, *inputs: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    fed = {value.name: given for value, given in zip(session.get_inputs(), inputs, strict=True)}
    return list(session.run(None, fed))


def segments(bundle: Bundle) -> list[Segment]:
    """Every route to the last exit, each exit of the full route, and the policy."""
    network = bundle.network
    last = len(network.exits) - 1
    routes = ["".join(bits) for bits in itertools.product("01", repeat=len(network.gates))]
    found = [network.segment(route, 0, last) for route in routes]
    return [*found, network.segment(network.full_route, 0, 0), network.policy_segment()]


@pytest.mark.parametrize("newest_opset", [OLD, NEW])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_route_in_every_precision(bundle: Bundle, precision: Precision, newest_opset: int) -> None:
    """As one graph; it must be a valid one, near to float32, and fp16 and int8 must not be float32 in disguise."""
    prepared, exact = prepare(bundle, precision, newest_opset), prepare(bundle, "fp32", NEW)
    image = toys.image(5, size=16)
    for segment in segments(bundle):
        part = segment_part(prepared, segment, precision)
        onnx.checker.check_model(part.model, full_check=True)
        assert {entry.version for entry in part.model.opset_import if entry.domain == ""} == {newest_opset}
        scores = run(part.model, image)[0]
        expected = run(segment_part(exact, segment, "fp32").model, image)[0]
        assert np.abs(scores - expected).max() <= TOLERANCES[precision] * np.abs(expected).max()
        assert (precision == "fp32") or not np.array_equal(scores, expected)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_stage_by_stage_is_the_segment(bundle: Bundle, precision: Precision) -> None:
    """What a stage gives, another takes: the boundaries say which types, and int8 ones have one scale on both sides."""
    network, prepared = bundle.network, prepare(bundle, precision, NEW)
    for segment in segments(bundle):
        features = toys.image(6, size=16)
        for stage in segment.stages:
            features = run(stage_part(prepared, stage, precision).model, features)[0]
        continued = run(segment_part(prepared, segment, precision).model, toys.image(6, size=16))
        scores = run(stage_part(prepared, segment.head, precision).model, features)[0]
        np.testing.assert_allclose(continued[0], scores, rtol=1e-3, atol=1e-3)
        if segment.continues:
            assert continued[1].dtype == boundaries(network, precision)[segment.stages[-1]][1].element
            np.testing.assert_allclose(continued[1].astype(float), features.astype(float), atol=1, rtol=1e-2)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_boundaries_say_what_the_graphs_have(bundle: Bundle, precision: Precision) -> None:
    prepared = prepare(bundle, precision, NEW)
    for stage, sides in boundaries(bundle.network, precision).items():
        graph = prepared.stage_model(stage).graph
        for value, boundary in zip((graph.input[0], graph.output[0]), sides, strict=True):
            tensor = value.type.tensor_type
            shape = tuple(dimension.dim_value for dimension in tensor.shape.dim)
            element = str(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
            assert (value.name, shape, element) == (boundary.name, boundary.shape, boundary.element)


@pytest.mark.parametrize("name", shipped())
@pytest.mark.parametrize("precision", PRECISIONS)
def test_all_that_can_meet_has_one_boundary(name: str, precision: Precision) -> None:
    """So a route's engines can hand each other buffers, whichever blocks were dropped; image and scores are float32."""
    network = open_bundle(model_folder(name)).network
    sides = boundaries(network, precision)
    kinds = {stage: (taken.element, taken.layout, taken.shape) for stage, (taken, _) in sides.items()}
    given = {stage: (side.element, side.layout, side.shape) for stage, (_, side) in sides.items()}
    for route in ("1" * len(network.gates), "0" * len(network.gates), "10" * (len(network.gates) // 2)):
        chain = network.segment(route, 0, len(network.exits) - 1)
        before = None
        for stage in (*chain.stages, chain.head):
            assert before is None or kinds[stage] == given[before]
            before = stage
        assert kinds[chain.stages[0]][:2] == given[chain.head][:2] == ("float32", "LINEAR")
    # Whole vectors of 32 channels where there are as many, else of 4.
    in_int8 = "CHW32" if given["block0"][2][1] >= 32 else "CHW4"
    wanted = {"fp32": ("float32", "LINEAR"), "fp16": ("float16", "HWC8"), "int8": ("int8", in_int8)}
    assert given["block0"][:2] == wanted[precision]


@pytest.mark.parametrize(
    ("boundary", "size_bytes"),
    [
        (Boundary("x", (1, 3, 4, 5), "float32"), 240),
        (Boundary("x", (1, 12, 4, 5), "float16", "HWC8"), 16 * 20 * 2),
        (Boundary("x", (1, 6, 2, 2), "int8", "CHW4"), 8 * 4),
        (Boundary("x", (1, 33, 2, 2), "int8", "CHW32"), 64 * 4),
        (Boundary("x", (1, 43), "float32"), 172),
        (Boundary("keep", (), "bool"), 1),
    ],
)
def test_a_buffer_holds_whole_vectors(boundary: Boundary, size_bytes: int) -> None:
    assert boundary.size_bytes == size_bytes


def test_probabilities_of_a_policy_are_computed_in_float32(bundle: Bundle) -> None:
    """Their bounds must hold, and fp16 rounds 0.9 to 0.8999 or 0.9004."""
    graph = prepare(bundle, "fp16", NEW).stage_model("policy").graph
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in onnx.shape_inference.infer_shapes(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", NEW)])
        ).graph.value_info
    }
    types[graph.output[0].name] = graph.output[0].type.tensor_type.elem_type
    by_operator = {node.op_type: types[node.output[0]] for node in graph.node}
    assert by_operator["Sigmoid"] == by_operator["Sub"] == TensorProto.FLOAT
    assert by_operator["Conv"] == by_operator["Gemm"] == TensorProto.FLOAT16


def test_a_weight_that_fp16_cannot_hold(bundle: Bundle) -> None:
    model = bundle.stage_model("block0")
    weight = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] = 7e4
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    with pytest.raises(BackendError, match=r"stage block0 cannot run in fp16: its weight \S+ holds more than 65504"):
        in_half(model, "block0", image=False, scores=False)


def test_int8_without_ranges(gated: Path) -> None:
    with pytest.raises(BackendError, match="cannot run in int8: stage stem states no ranges"):
        prepare(open_bundle(gated), "int8", NEW)


def test_int8_is_as_tensorrt_wants_it(bundle: Bundle) -> None:
    """Symmetric, weights per channel, and no int32 constant that is dequantised, which its parser refuses."""
    prepared = prepare(bundle, "int8", NEW)
    for stage in bundle.network.stages:
        graph = prepared.stage_model(stage).graph
        arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        readers = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
        assert readers
        for node in readers:
            zero, scale = arrays[node.input[2]], arrays[node.input[1]]
            assert zero.dtype == np.int8
            assert not zero.any()
            if node.input[0] in arrays:
                assert arrays[node.input[0]].dtype == np.int8
                assert scale.shape in {(arrays[node.input[0]].shape[axis],) for axis in (0, 1)}
        # What a convolution hands to an addition alone is left to the builder, which computes both at once.
        producers = {name: node.op_type for node in graph.node for name in node.output}
        for node in graph.node:
            if node.op_type == "Add":
                assert "Conv" in {producers[name] for name in node.input if name in producers}


def test_axes_become_an_attribute() -> None:
    """A parser that knows no opset 18 would take no notice of the input, and reduce over all axes."""
    model = open_bundle(model_folder("gusodrop")).stage_model("head")
    older = lowered(model, OLD, "head")
    (mean,) = (node for node in older.graph.node if node.op_type == "ReduceMean")
    assert len(mean.input) == 1
    assert {attribute.name for attribute in mean.attribute} == {"axes", "keepdims"}
    features = np.random.default_rng(0).random((1, 512, 4, 4), np.float32)
    np.testing.assert_array_equal(run(older, features)[0], run(model, features)[0])
    assert lowered(model, NEW, "head") is model


def test_an_operator_that_the_older_set_has_not(bundle: Bundle) -> None:
    model = bundle.stage_model("block0")
    model.graph.node[-1].op_type = "Gelu"
    with pytest.raises(BackendError, match=r"stage block0 cannot be said in opset 17.*Gelu.*TensorRT 10 or newer"):
        lowered(model, OLD, "block0")


# Loses no more than the others, but changes more than one answer in a hundred, right ones into wrong and back.
_ANSWERS_DIFFER = {"sdn-mobilenet-cifar10"}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", shipped())
def test_int8_costs_no_accuracy(name: str, data_folder: Path) -> None:
    """At most 0.5 points on test images, on the graph that TensorRT gets; the answers are the same almost always."""
    from edge.preprocess import Preprocessor

    bundle = open_bundle(model_folder(name))
    test, preprocess = read_test_images(bundle.manifest.task.dataset, data_folder), Preprocessor(32, 32)
    chosen = np.random.default_rng(0).choice(len(test.images), 400, replace=False)
    images = [preprocess(test.images[index]).copy() for index in chosen]
    labels = np.array([test.labels[index] for index in chosen])
    segment = bundle.network.segment(bundle.network.full_route, 0, len(bundle.network.exits) - 1)
    answers = {}
    for precision in ("fp32", "int8"):
        model = segment_part(prepare(bundle, precision, NEW), segment, precision).model
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0].name
        answers[precision] = np.array([session.run(None, {given: image})[0].argmax() for image in images])
    # Counted, since shares are not exact.
    lost = (answers["fp32"] == labels).sum() - (answers["int8"] == labels).sum()
    assert lost <= 0.005 * len(labels)
    same = (answers["fp32"] == answers["int8"]).mean()
    if name in _ANSWERS_DIFFER:
        assert same < 0.99, "it is reached: take the network off the list"
        pytest.xfail(f"{same:.2%} of the answers are the same")
    assert same >= 0.99
