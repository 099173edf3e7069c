"""Narrow weights: ONNX Runtime running the stored graph is the judge of what is folded at load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import toys
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper

from edge.bundle import BundleError, open_bundle
from edge.bundle.narrow import SMALLEST, narrow, widen

onnxruntime = pytest.importorskip("onnxruntime")


def model_of(nodes: list[onnx.NodeProto], shapes: tuple[list[int], list[int]], **weights: np.ndarray):
    graph = helper.make_graph(
        nodes,
        "stage",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shapes[0])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shapes[1])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def weights_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # As it stands: an optimiser that computes in int8 would be another network.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def normal(*shape: int) -> np.ndarray:
    # Channels of very different size: one scale for all of them would show.
    generator = np.random.default_rng(0)
    return (generator.normal(size=shape) * generator.uniform(0.01, 10, shape[-1:])).astype(np.float32)


CASES = {
    "Conv": (
        model_of([helper.make_node("Conv", ["x", "w"], ["y"])], ([1, 8, 6, 6], [1, 32, 4, 4]), w=normal(32, 8, 3, 3)),
        0,
    ),
    "grouped Conv": (
        model_of(
            [helper.make_node("Conv", ["x", "w"], ["y"], group=2)],
            ([1, 16, 6, 6], [1, 32, 4, 4]),
            w=normal(32, 8, 3, 3),
        ),
        0,
    ),
    "Gemm": (
        model_of([helper.make_node("Gemm", ["x", "w"], ["y"])], ([1, 48], [1, 43]), w=normal(48, 43)),
        1,
    ),
    "Gemm transB": (
        model_of([helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)], ([1, 48], [1, 43]), w=normal(43, 48)),
        0,
    ),
    "MatMul": (
        model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], ([1, 48], [1, 43]), w=normal(48, 43)),
        1,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_stored_and_widened_give_the_same_scores(case: str) -> None:
    model, axis = CASES[case]
    stored = narrow(model)
    loaded = widen(stored)
    x = np.random.default_rng(1).random([d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim])
    x = x.astype(np.float32)

    onnx.checker.check_model(stored, full_check=True)
    assert weights_of(stored)["w.int8"].dtype == np.int8
    assert weights_of(stored)["w.scale"].shape == (weights_of(model)["w"].shape[axis],)
    assert [node.op_type for node in loaded.graph.node] == [node.op_type for node in model.graph.node]
    np.testing.assert_allclose(run(stored, x), run(loaded, x), rtol=1e-5, atol=1e-5)
    # And it is still nearly the network that was narrowed.
    assert np.abs(run(stored, x) - run(model, x)).max() < 0.02 * np.abs(run(model, x)).max()


@pytest.mark.parametrize("case", CASES)
def test_no_weight_moves_by_more_than_half_its_scale(case: str) -> None:
    model, axis = CASES[case]
    before, after = weights_of(model)["w"], weights_of(widen(narrow(model)))["w"]
    others = tuple(index for index in range(before.ndim) if index != axis)

    scale = np.abs(before).max(others, keepdims=True) / 127
    assert (np.abs(after - before) <= scale / 2 * (1 + 1e-4)).all()
    assert (after != before).any()


def test_narrowing_twice_changes_nothing_more() -> None:
    once = widen(narrow(CASES["Conv"][0]))

    np.testing.assert_allclose(weights_of(widen(narrow(once)))["w"], weights_of(once)["w"], rtol=1e-6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(arrays.arrays(np.float32, (4, SMALLEST // 4), elements=st.floats(-(2.0**60), 2.0**60, width=32)))
def test_any_finite_weight_survives(weight: np.ndarray) -> None:
    model = model_of([helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)], ([1, SMALLEST // 4], [1, 4]), w=weight)

    after = weights_of(widen(narrow(model)))["w"]

    largest = np.abs(weight.astype(np.float64)).max(1, keepdims=True)
    bound = np.maximum(largest / 127, np.finfo(np.float32).tiny) / 2
    assert (np.abs(after.astype(np.float64) - weight) <= bound * (1 + 1e-4)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diverged_training_is_not_stored(bad: float) -> None:
    weight = normal(43, 48)
    weight[3, 4] = bad
    model = model_of([helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)], ([1, 48], [1, 43]), w=weight)

    with pytest.raises(BundleError, match="'w' is not finite"):
        narrow(model)


def test_small_and_ambiguous_weights_stay() -> None:
    small = model_of([helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)], ([1, 31], [1, 33]), w=normal(33, 31))
    # Used as it stands and transposed, so its output channels lie on two axes.
    ambiguous = model_of(
        [helper.make_node("Gemm", ["x", "w"], ["t"]), helper.make_node("Gemm", ["t", "w"], ["y"], transB=1)],
        ([1, 40], [1, 40]),
        w=normal(40, 40),
    )
    # A weight that something else reads too.
    shared = model_of(
        [helper.make_node("MatMul", ["x", "w"], ["t"]), helper.make_node("Add", ["t", "w"], ["y"])],
        ([40, 40], [40, 40]),
        w=normal(40, 40),
    )

    for model in (small, ambiguous, shared):
        assert narrow(model) == model == widen(model)


def test_the_model_given_is_left_alone() -> None:
    model, _ = CASES["Conv"]
    before = model.SerializeToString(deterministic=True)
    stored = narrow(model)
    stored_before = stored.SerializeToString(deterministic=True)
    widen(stored)

    assert model.SerializeToString(deterministic=True) == before
    assert stored.SerializeToString(deterministic=True) == stored_before


@pytest.mark.parametrize(
    ("values", "parameters", "attributes"),
    [
        (normal(6, 4).astype(np.float16), (), None),
        (np.arange(-12, 12, dtype=np.int8).reshape(6, 4), (np.float32(0.3),), {}),
        (np.arange(24, dtype=np.uint8).reshape(6, 4), (np.float32(0.3), np.uint8(200)), {}),
        (np.arange(24, dtype=np.uint8).reshape(6, 4), (normal(4), np.arange(4, dtype=np.uint8)), {}),
        (np.arange(-12, 12, dtype=np.int8).reshape(6, 4), (normal(6),), {"axis": -2}),
    ],
    ids=["float16", "one scale", "zero point", "default axis", "negative axis"],
)
def test_other_people_s_narrow_weights_are_folded_exactly(values, parameters, attributes) -> None:
    names = ["n", "s", "z"][: 1 + len(parameters)]
    unpack = (
        helper.make_node("Cast", ["n"], ["w"], to=TensorProto.FLOAT)
        if attributes is None
        else helper.make_node("DequantizeLinear", names, ["w"], **attributes)
    )
    stored = dict(zip(names, (values, *parameters), strict=True))
    model = model_of([unpack, helper.make_node("Add", ["x", "w"], ["y"])], ([6, 4], [6, 4]), **stored)

    loaded = widen(model)

    assert set(weights_of(loaded)) == {"w"}
    # x = 0 shows the weight itself.
    np.testing.assert_array_equal(weights_of(loaded)["w"], run(model, np.zeros((6, 4), np.float32)))


def test_a_dequantisation_of_activations_stays() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    model = model_of(nodes, ([1, 4], [1, 4]), s=np.float32(0.1), z=np.int8(0))

    assert widen(model) == model


def test_a_narrow_bundle_answers_nearly_the_same(tmp_path: Path) -> None:
    wide = open_bundle(toys.gated_bundle(tmp_path / "wide"))
    small = open_bundle(toys.gated_bundle(tmp_path / "small", narrowed=True))
    assert small.size_bytes < 0.4 * wide.size_bytes

    def scores(bundle):
        features = toys.image()
        for stage in ("stem", "block0", "block1", "block2", "block3", "head0"):
            features = run(bundle.stage_model(stage), features)
        return features

    assert np.abs(scores(small) - scores(wide)).max() < 0.05 * np.abs(scores(wide)).max()
