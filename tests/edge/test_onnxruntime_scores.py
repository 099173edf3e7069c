"""Fused segments give the scores of the stages as they are stored, or are not used."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import toys
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edge.backends.base import Backend, BackendError
from edge.backends.compose import compose, segment_inputs
from edge.backends.models import StageModels
from edge.backends.onnxruntime import fused
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.pieces import Pieces
from edge.backends.onnxruntime.process import Process, this_process
from edge.backends.onnxruntime.verify import routes_to_verify
from edge.bundle import open_bundle
from edge.network import Exit, Gate, Network, Route, Segment, Stage, StageKind, TensorSpec

CLOSE = {"rtol": 0, "atol": 2e-5}


class Oracle:
    """Every stage by the reference implementation of ONNX, one after the other."""

    def __init__(self, models: StageModels) -> None:
        self._stages = {stage: ReferenceEvaluator(models.stage_model(stage)) for stage in models.network.stages}

    def scores(self, stages: Sequence[str], image: np.ndarray) -> np.ndarray:
        for stage in stages:
            (image,) = self._stages[stage].run(None, {self._stages[stage].input_names[0]: image})
        return image[0]


def all_routes(network: Network) -> list[Route]:
    return ["".join(bits) for bits in itertools.product("01", repeat=len(network.gates))]


def run(backend: Backend, segments: Sequence[Segment], image: np.ndarray) -> list[np.ndarray]:
    features: Any = image
    found = []
    for segment in segments:
        features, scores = backend.compile(segment).run(features)
        found.append(scores)
    return found


def opened(models: StageModels, plan: str) -> Backend:
    backend = OnnxRuntime(plan=plan, cache=False).open(models, threads=1)
    assert backend.describe()["plan"] == plan, backend.describe()
    return backend


@pytest.fixture(params=["fused", "staged"])
def plan(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def small_gated(tmp_path_factory: pytest.TempPathFactory) -> StageModels:
    # 12 channels: not a multiple of the 8 or 16 that the blocked layout keeps together.
    return open_bundle(toys.gated_bundle(tmp_path_factory.mktemp("small") / "gated", channels=12, size=16))


@pytest.fixture(scope="module")
def small_both(tmp_path_factory: pytest.TempPathFactory) -> StageModels:
    return open_bundle(toys.both_bundle(tmp_path_factory.mktemp("small") / "both", channels=8, size=16))


def test_every_route(small_gated: StageModels, plan: str) -> None:
    network = small_gated.network
    backend, oracle = opened(small_gated, plan), Oracle(small_gated)
    image = toys.image(1, size=16)
    answers = []
    for route in all_routes(network):
        segment = network.segment(route, 0, 0)
        (scores,) = run(backend, [segment], image)
        assert scores.shape == (43,)
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, oracle.scores([*segment.stages, segment.head], image), **CLOSE)
        answers.append(scores)
    for one, other in itertools.combinations(answers, 2):
        assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("folder", ["gated", "exits"])
def test_fused_is_the_static_network(folder: str, request: pytest.FixtureRequest) -> None:
    """The oracle here is ONNX Runtime itself on the stages joined into one graph."""
    models = open_bundle(request.getfixturevalue(folder))
    network, process = models.network, this_process()
    backend, image = opened(models, "fused"), toys.image(2)
    stages = {stage: models.stage_model(stage) for stage in network.stages}
    for route in routes_to_verify(network):
        segment = network.segment(route, 0, len(network.exits) - 1)
        static = compose(network, stages, segment_inputs(segment))
        onnx.checker.check_model(static)
        session = process.session(static.SerializeToString(), process.options(optimise=True))
        expected = session.run([segment.head], {"/image": image})[0][0]
        np.testing.assert_allclose(run(backend, [segment], image)[0], expected, **CLOSE)


def test_every_way_through_the_exits(small_both: StageModels, plan: str) -> None:
    network = small_both.network
    backend, oracle = opened(small_both, plan), Oracle(small_both)
    image = toys.image(3, size=16)
    last = len(network.exits) - 1
    for route in all_routes(network)[::3]:
        for count in range(last + 1):
            for decisions in itertools.combinations(range(last), count):
                exits = (*decisions, last)
                starts = (0, *(network.exit_positions[index] for index in decisions))
                segments = [network.segment(route, start, index) for start, index in zip(starts, exits, strict=True)]
                stages: list[str] = []
                for segment, scores in zip(segments, run(backend, segments, image), strict=True):
                    stages += segment.stages
                    np.testing.assert_allclose(scores, oracle.scores([*stages, segment.head], image), **CLOSE)


def test_policy(gated: Path, plan: str) -> None:
    models = open_bundle(gated)
    backend, image = opened(models, plan), toys.image(4)
    (probabilities,) = run(backend, [models.network.policy_segment()], image)
    np.testing.assert_allclose(probabilities, Oracle(models).scores(["policy"], image), **CLOSE)


def test_scores_belong_to_the_caller(gated: Path, plan: str) -> None:
    models = open_bundle(gated)
    executable = opened(models, plan).compile(models.network.segment("1111", 0, 0))
    first = executable.run(toys.image(1))[1]
    kept = first.copy()
    assert np.abs(executable.run(toys.image(2))[1] - kept).max() > 1e-3
    np.testing.assert_array_equal(first, kept)


def test_executables_outlive_the_backend(gated: Path, plan: str) -> None:
    """A session reads weights that it does not hold: without the executable's hold the scores would change."""
    models = open_bundle(gated)
    backend = opened(models, plan)
    executable = backend.compile(models.network.segment("1011", 0, 0))
    before = executable.run(toys.image(5))[1]
    backend.close()
    del backend
    gc.collect()
    overwritten = [np.full(size, 1e3, np.float32) for size in (16, 43 * 32, 2304, 4608, 9216) for _ in range(200)]
    np.testing.assert_array_equal(executable.run(toys.image(5))[1], before)
    del overwritten


def test_closed_backend_says_so(gated: Path) -> None:
    models = open_bundle(gated)
    backend = OnnxRuntime(plan="staged").open(models, threads=1)
    backend.close()
    with pytest.raises(BackendError, match="was closed: open the network again"):
        backend.compile(models.network.policy_segment())


def test_unknown_plan() -> None:
    with pytest.raises(ValueError, match="plan='fast' is unknown: fused or staged"):
        OnnxRuntime(plan="fast")


# What follows are networks whose layouts do not meet by themselves.


@dataclass(frozen=True)
class Models:
    network: Network
    models: dict[str, onnx.ModelProto]
    digest: str = "0"

    def stage_model(self, stage_id: str) -> onnx.ModelProto:
        return self.models[stage_id]


Nodes = Sequence[tuple[Any, ...]]
CONVOLVE = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}


def stage(
    stage_id: str, kind: StageKind, shape: tuple[int, ...], output: tuple[int, ...], nodes: Nodes, opset: int = 17
) -> tuple[Stage, onnx.ModelProto]:
    """A stage from (operator, inputs, attributes), each giving "1", "2", ...; an input that is a shape is a weight."""
    generator = np.random.default_rng(len(stage_id))
    weights: list[onnx.TensorProto] = []

    def name(value: Any) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, tuple):
            deviation = 1.0 / np.sqrt(np.prod(value[1:]))
            value = generator.normal(0, deviation, value).astype(np.float32)
        weights.append(numpy_helper.from_array(np.asarray(value), f"w{len(weights)}"))
        return weights[-1].name

    protos = [
        helper.make_node(operator, [name(value) for value in inputs], [str(index)], **attributes)
        for index, (operator, inputs, attributes) in enumerate(nodes, start=1)
    ]
    protos[-1].output[0] = "y"
    value_infos = [
        helper.make_tensor_value_info(tensor, TensorProto.FLOAT, sizes)
        for tensor, sizes in (("x", shape), ("y", output))
    ]
    graph = helper.make_graph(protos, stage_id, value_infos[:1], value_infos[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return Stage(stage_id, kind, f"{stage_id}.onnx", TensorSpec("x", shape), TensorSpec("y", output), 0, 0, "0"), model


def network_of(*stages: tuple[Stage, onnx.ModelProto], gates: tuple[Gate, ...]) -> Models:
    by_id = {stage.id: stage for stage, _ in stages}
    order = tuple(stage.id for stage, _ in stages if stage.kind in ("stem", "block"))
    network = Network(by_id, order, gates, (Exit(order[-1], "head"),), None)
    return Models(network, {stage.id: model for stage, model in stages})


IMAGE = (1, 3, 8, 8)
WIDE = (1, 16, 8, 8)
STEM = stage("stem", "stem", IMAGE, WIDE, [("Conv", ("x", (16, 3, 3, 3)), CONVOLVE), ("Relu", ("1",), {})])
RESIDUAL = [("Conv", ("x", (16, 16, 3, 3)), CONVOLVE), ("Add", ("1", "x"), {}), ("Relu", ("2",), {})]


def head(channels: int) -> tuple[Stage, onnx.ModelProto]:
    nodes = [("GlobalAveragePool", ("x",), {}), ("Flatten", ("1",), {}), ("Gemm", ("2", (channels, 5)), {})]
    return stage("head", "head", (1, channels, 8, 8), (1, 5), nodes)


def plain_bypass() -> Models:
    """The block ends in a convolution, its bypass in a padding, which knows no blocked layout."""
    wider = (1, 32, 8, 8)
    pads = np.array([0, 0, 0, 0, 0, 16, 0, 0], np.int64)
    return network_of(
        STEM,
        stage("grow", "block", WIDE, wider, [("Conv", ("x", (32, 16, 3, 3)), CONVOLVE), ("Relu", ("1",), {})]),
        stage("pad", "bypass", WIDE, wider, [("Pad", ("x", pads), {})]),
        stage("last", "block", wider, wider, [("Conv", ("x", (32, 32, 3, 3)), CONVOLVE)]),
        head(32),
        gates=(Gate("grow", "pad"), Gate("last", None)),
    )


def plain_block() -> Models:
    """The block ends in an operator without a blocked layout, its bypass in a convolution."""
    return network_of(
        STEM,
        stage("soft", "block", WIDE, WIDE, [("Conv", ("x", (16, 16, 3, 3)), CONVOLVE), ("Softsign", ("1",), {})]),
        stage("skip", "bypass", WIDE, WIDE, [("Conv", ("x", (16, 16, 1, 1)), {}), ("Relu", ("1",), {})]),
        stage("last", "block", WIDE, WIDE, RESIDUAL),
        head(16),
        gates=(Gate("soft", "skip"),),
    )


def gated_stem() -> Models:
    """The first stage of all has a gate with a bypass."""
    return network_of(
        STEM,
        stage("thin", "bypass", IMAGE, WIDE, [("Conv", ("x", (16, 3, 1, 1)), {}), ("Relu", ("1",), {})]),
        stage("last", "block", WIDE, WIDE, RESIDUAL),
        head(16),
        gates=(Gate("stem", "thin"), Gate("last", None)),
    )


def layout_change() -> Models:
    """A block without a bypass reads blocked features and gives plain ones."""
    return network_of(
        STEM,
        stage("soft", "block", WIDE, WIDE, [("Conv", ("x", (16, 16, 3, 3)), CONVOLVE), ("Softsign", ("1",), {})]),
        stage("last", "block", WIDE, WIDE, RESIDUAL),
        head(16),
        gates=(Gate("soft", None),),
    )


def two_opsets() -> Models:
    return network_of(
        STEM, stage("last", "block", WIDE, WIDE, RESIDUAL, opset=18), head(16), gates=(Gate("last", None),)
    )


def assert_right(models: Models, backend: Backend) -> None:
    oracle, image = Oracle(models), toys.image(0, size=8)
    for route in all_routes(models.network):
        segment = models.network.segment(route, 0, 0)
        expected = oracle.scores([*segment.stages, segment.head], image)
        np.testing.assert_allclose(run(backend, [segment], image)[0], expected, **CLOSE)


@pytest.mark.parametrize("build", [plain_bypass, plain_block, gated_stem])
def test_layouts_are_made_to_meet(build: Callable[[], Models]) -> None:
    models = build()
    assert_right(models, opened(models, "fused"))


@pytest.mark.parametrize(("build", "why"), [(layout_change, "changes the layout"), (two_opsets, "uses opset 18")])
def test_networks_that_cannot_be_cut_run_staged(build: Callable[[], Models], why: str) -> None:
    models = build()
    backend = OnnxRuntime(cache=False).open(models, threads=1)
    assert backend.describe()["plan"] == "staged"
    assert why in backend.describe()["why"]
    assert backend.compile(models.network.segment("1", 0, 0)).plan == "chain"
    assert_right(models, backend)


# What follows breaks the pieces, as a wrong cut or a miscompiled graph would.

STAGES = ["stem", "block0", "block1", "block2", "block3", "bypass2", "head0", "head1", "head2", "policy"]


def broken(change: Callable[[Pieces], Pieces]) -> Callable[..., Pieces]:
    cut = fused.cut

    def cut_and_change(network: Network, optimised: onnx.ModelProto, process: Process) -> Pieces:
        return change(cut(network, optimised, process))

    return cut_and_change


@pytest.mark.parametrize("altered", STAGES)
def test_one_altered_weight_is_noticed(small_both: StageModels, altered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(STAGES) == set(small_both.network.stages)

    def change(pieces: Pieces) -> Pieces:
        # The largest weight of all, of one stage's own: a single number of it is changed.
        names = pieces.by_stage[altered].weights
        weights = max((pieces.weights[name].array for name in names), key=lambda array: array.size)
        weights.flat[np.abs(weights).argmax()] *= 1.5
        return pieces

    monkeypatch.setattr(fused, "cut", broken(change))
    backend = OnnxRuntime(cache=False).open(small_both, threads=1)
    assert backend.describe()["plan"] == "staged"
    assert "joined differ from the plain chain by" in backend.describe()["why"]


def swapped_pieces(pieces: Pieces) -> Pieces:
    by_stage = dict(pieces.by_stage)
    by_stage["block0"], by_stage["block1"] = by_stage["block1"], by_stage["block0"]
    return replace(pieces, by_stage=by_stage)


def lost_node(pieces: Pieces) -> Pieces:
    piece = pieces.by_stage["block0"]
    model = onnx.load_model_from_string(piece.operators)
    del model.graph.node[0]
    return replace(pieces, by_stage={**pieces.by_stage, "block0": replace(piece, operators=model.SerializeToString())})


def not_a_number(pieces: Pieces) -> Pieces:
    pieces.weights[pieces.by_stage["head0"].weights[0]].array.flat[0] = np.nan
    return pieces


def failure(pieces: Pieces) -> Pieces:
    raise MemoryError("out of memory")


@pytest.mark.parametrize("change", [swapped_pieces, lost_node, not_a_number, failure])
def test_broken_pieces_are_not_used(
    small_gated: StageModels, change: Callable[[Pieces], Pieces], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "cut", broken(change))
    backend = OnnxRuntime(cache=False).open(small_gated, threads=1)
    assert backend.describe()["plan"] == "staged"
    assert backend.describe()["why"]
    segment = small_gated.network.segment("0101", 0, 0)
    image = toys.image(6, size=16)
    expected = Oracle(small_gated).scores([*segment.stages, segment.head], image)
    np.testing.assert_allclose(run(backend, [segment], image)[0], expected, **CLOSE)


@pytest.mark.parametrize("gates", range(9))
def test_verified_routes_hold_every_meeting(gates: int) -> None:
    stage_ids = [f"block{index}" for index in range(gates)]
    network = Network({}, tuple(stage_ids), tuple(Gate(stage_id, None) for stage_id in stage_ids), (), None)
    routes = routes_to_verify(network)
    assert routes[0] == network.full_route
    assert len(routes) <= 4
    for index in range(gates):
        assert {route[index] for route in routes} == {"0", "1"}
    for index in range(gates - 1):
        assert {route[index : index + 2] for route in routes} == {"00", "01", "10", "11"}
