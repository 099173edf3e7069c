"""Int8 on ONNX Runtime: every route as one static int8 network gives it, and close to float32."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import toys
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edge.backends.activations import KEY, Range, RangeError, state_ranges, stated_ranges
from edge.backends.base import BackendError
from edge.backends.compose import IMAGE, compose, network_inputs, segment_inputs
from edge.backends.int8 import to_int8
from edge.backends.onnxruntime import process as processes
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.cut import optimise
from edge.backends.onnxruntime.process import overflows, this_process
from edge.backends.onnxruntime.quantise import quantised
from edge.bundle import Bundle, open_bundle
from edge.bundle.narrow import narrow, widen
from export.quantize import quantize

SIZE = 16


@pytest.fixture(scope="module")
def bundle(calibrated: Path) -> Bundle:
    return open_bundle(calibrated)


def stages_of(bundle: Bundle) -> dict[str, onnx.ModelProto]:
    return {stage: bundle.stage_model(stage) for stage in bundle.network.stages}


def routes(bundle: Bundle) -> list[str]:
    return ["".join(bits) for bits in itertools.product("01", repeat=len(bundle.network.gates))]


def test_every_route_is_its_static_int8_network(bundle: Bundle) -> None:
    """Bit for bit, by every exit: the numbers between are whole."""
    process = this_process()
    process.use(1)
    network, stages = bundle.network, quantised(bundle.network, stages_of(bundle))
    backend = OnnxRuntime(precision="int8", cache=False).open(bundle, threads=1)
    assert (backend.describe()["plan"], backend.describe()["precision"]) == ("fused", "int8")
    image = toys.image(2, size=SIZE)
    for route in routes(bundle):
        for exit_index in range(len(network.exits)):
            segment = network.segment(route, 0, exit_index)
            static = compose(network, stages, segment_inputs(segment))
            del static.graph.output[:-1]
            session = process.session(static.SerializeToString(), process.options(optimise=True))
            expected = session.run(None, {IMAGE: image})[0][0]
            np.testing.assert_allclose(backend.compile(segment).run(image)[1], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("plan", ["fused", "staged"])
def test_int8_is_near_float32(bundle: Bundle, plan: str) -> None:
    network = bundle.network
    backend = OnnxRuntime(plan=plan, precision="int8", cache=False).open(bundle, threads=1)
    reference = OnnxRuntime(cache=False).open(bundle, threads=1)
    image = toys.image(3, size=SIZE)
    segments = [network.segment(route, 0, len(network.exits) - 1) for route in routes(bundle)]
    for segment in [*segments, network.policy_segment()]:
        scores, expected = (each.compile(segment).run(image)[1] for each in (backend, reference))
        # Of random weights; an error of one scale or zero point is many times larger.
        assert np.abs(scores - expected).max() < 0.1 * np.abs(expected).max()
        assert not np.array_equal(scores, expected)


def test_from_exit_to_exit(bundle: Bundle) -> None:
    """Features that one segment leaves for the next are uint8 and give what the whole way gives."""
    network = bundle.network
    backend = OnnxRuntime(precision="int8", cache=False).open(bundle, threads=1)
    image = toys.image(4, size=SIZE)
    for route in routes(bundle)[::5]:
        features, start = image, 0
        for exit_index, stop in enumerate(network.exit_positions):
            features, scores = backend.compile(network.segment(route, start, exit_index)).run(features)
            whole = backend.compile(network.segment(route, 0, exit_index)).run(image)[1]
            np.testing.assert_allclose(scores, whole, rtol=0, atol=1e-6)
            start = stop


def test_no_convolution_is_left_in_float(bundle: Bundle) -> None:
    process = this_process()
    process.use(1)
    stages = quantised(bundle.network, stages_of(bundle))
    graph = optimise(process, compose(bundle.network, stages, network_inputs(bundle.network))).graph
    operators = Counter(node.op_type for node in graph.node)
    wanted = Counter(node.op_type for stage in stages.values() for node in stage.graph.node)
    assert not {"Conv", "FusedConv", "Gemm", "FusedGemm", "Add", "FusedMatMul", "MatMul"} & set(operators)
    assert operators["QLinearConv"] == wanted["Conv"]
    assert operators["QGemm"] == wanted["Gemm"]


def test_scores_of_the_standard_operators(bundle: Bundle) -> None:
    """The quantised stages are plain ONNX: its reference evaluator agrees with the fused kernels."""
    network, stages = bundle.network, quantised(bundle.network, stages_of(bundle))
    backend = OnnxRuntime(precision="int8", cache=False).open(bundle, threads=1)
    image = toys.image(5, size=SIZE)
    for route in ("1111", "0101"):
        segment = network.segment(route, 0, len(network.exits) - 1)
        features: np.ndarray = image
        for stage in (*segment.stages, segment.head):
            model = stages[stage]
            features = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: features})[0]
        found = backend.compile(segment).run(image)[1]
        # A value half-way between two steps may go either way.
        assert np.abs(found - features[0]).max() < 0.03 * np.abs(features).max()


def test_stored_weights_are_taken_as_they_are() -> None:
    weight = np.random.default_rng(0).normal(0, 0.1, (48, 3, 5, 5)).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    model = helper.make_model(
        helper.make_graph([node], "g", values[:1], values[1:], [numpy_helper.from_array(weight, "w")])
    )
    stored = narrow(model)
    (read,) = (numpy_helper.to_array(tensor) for tensor in widen(stored).graph.initializer)
    rounded, scale = to_int8(read, 0)
    of_bundle = {tensor.name: numpy_helper.to_array(tensor) for tensor in stored.graph.initializer}
    np.testing.assert_array_equal(rounded, of_bundle["w.int8"])
    np.testing.assert_allclose(scale, of_bundle["w.scale"], rtol=1e-6)


def test_a_channel_of_zeros() -> None:
    rounded, scale = to_int8(np.zeros((2, 3), np.float32), 1)
    assert not rounded.any()
    assert scale.shape == (3,)
    assert (scale > 0).all()


def test_the_cache_keeps_precisions_apart(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    image = toys.image(6, size=SIZE)
    segment = bundle.network.segment("1011", 0, 0)
    built = []
    for expected in ("built", "loaded"):
        for precision in ("fp32", "int8"):
            backend = OnnxRuntime(precision=precision).open(bundle, threads=1)
            assert backend.describe()["cache"] == expected
            built.append(backend.compile(segment).run(image)[1])
    np.testing.assert_array_equal(built[0], built[2])
    np.testing.assert_array_equal(built[1], built[3])
    assert not np.array_equal(built[0], built[1])


def test_a_bundle_without_ranges(gated: Path) -> None:
    with pytest.raises(
        BackendError, match=r"cannot run in int8: stage stem states no ranges .* python -m export.quantize"
    ):
        OnnxRuntime(precision="int8", cache=False).open(open_bundle(gated), threads=1)


def test_stages_that_do_not_meet(bundle: Bundle) -> None:
    stages = stages_of(bundle)
    ranges = stated_ranges(stages["block1"], "block1")
    ranges["y"] = Range(0.0, ranges["y"].high * 1.01)
    state_ranges(stages["block1"], ranges)
    with pytest.raises(RangeError, match=r"block1 and .* meet at different ranges: calibrate the bundle again"):
        quantised(bundle.network, stages)


def test_a_tensor_without_a_range(bundle: Bundle) -> None:
    stages = stages_of(bundle)
    ranges = stated_ranges(stages["block1"], "block1")
    inner = next(name for name in ranges if name not in ("x", "y"))
    state_ranges(stages["block1"], {name: ends for name, ends in ranges.items() if name != inner})
    with pytest.raises(RangeError, match=f"block1 states no range of {inner}"):
        quantised(bundle.network, stages)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"x": 1}', '{"x": [1, 2]}', '{"x": [0, 0]}', '{"x": [0, NaN]}', '{"x": [0, 1e999]}'],
)
def test_ranges_that_cannot_be_read(text: str) -> None:
    model = onnx.ModelProto()
    model.metadata_props.add(key=KEY, value=text)
    with pytest.raises(RangeError, match="stage stem states ranges that cannot be read"):
        stated_ranges(model, "stem")


def test_ranges_come_back() -> None:
    model = onnx.ModelProto()
    model.metadata_props.add(key="other", value="kept")
    for high in (2.0, 3.0):
        state_ranges(model, {"x": Range(-1.25, high)})
    assert stated_ranges(model, "stem") == {"x": Range(-1.25, 3.0)}
    assert [entry.key for entry in model.metadata_props] == ["other", KEY]


def test_unknown_precision() -> None:
    with pytest.raises(ValueError, match="precision='int4' is unknown: fp32 or int8"):
        OnnxRuntime(precision="int4")


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu sse2 avx2 avx512f avx512_vnni\n", False),
        ("flags\t\t: fpu sse2 avx2 avx_vnni\n", False),
        ("flags\t\t: fpu sse2 avx2 avx512f\n", True),
        ("flags\t\t: fpu sse2\n", True),
        ("Features\t: fp asimd asimddp\n", False),
        ("", False),
    ],
)
def test_processors_whose_sums_overflow(cpuinfo: str, expected: bool) -> None:
    assert overflows(cpuinfo) == expected


def test_weights_become_unsigned_where_sums_would_overflow(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the answers stay what they are: near those of float32, and of signed weights where nothing is cut off."""
    cuts_off_here = overflows(processes._cpuinfo())
    image = toys.image(7, size=SIZE)
    segment = bundle.network.segment("1101", 0, len(bundle.network.exits) - 1)
    found = []
    for overflow in (False, True):
        monkeypatch.setattr(processes, "overflows", lambda cpuinfo, overflow=overflow: overflow)
        backend = OnnxRuntime(precision="int8", cache=False).open(bundle, threads=1)
        assert backend.describe()["plan"] == "fused"
        found.append(backend.compile(segment).run(image)[1])
    exact = OnnxRuntime(cache=False).open(bundle, threads=1).compile(segment).run(image)[1]
    signed, unsigned = found
    np.testing.assert_allclose(unsigned, exact, rtol=0, atol=0.02 * np.abs(exact).max())
    if not cuts_off_here:
        np.testing.assert_allclose(unsigned, signed, rtol=0, atol=0.02 * np.abs(signed).max())


def test_networks_of_gates_run_in_int8(tmp_path: Path) -> None:
    """Gate by gate, as a network that decides block by block runs: probabilities and scores near those of float32."""
    folder = toys.decided_bundle(tmp_path / "toy", classes=7, size=SIZE)
    bundle = quantize(folder, [toys.image(100 + seed, size=SIZE) for seed in range(6)])
    network = bundle.network
    backends = [OnnxRuntime(precision=each, cache=False).open(bundle, threads=1) for each in ("int8", "fp32")]
    assert [backend.describe()["plan"] for backend in backends] == ["fused", "fused"]
    for route in ("1111", "0101"):
        found = []
        for backend in backends:
            features, start, scores = toys.image(8, size=SIZE), 0, []
            for gate, position in enumerate(network.gate_positions):
                if network.gates[gate].decision is not None:
                    features, probability = backend.compile(network.segment_to_gate(route, start, gate)).run(features)
                    scores.append(probability)
                    start = position
            scores.append(backend.compile(network.segment(route, start, len(network.exits) - 1)).run(features)[1])
            found.append(scores)
        for int8, expected in zip(*found, strict=True):
            assert np.abs(int8 - expected).max() < 0.1 * np.abs(expected).max()
