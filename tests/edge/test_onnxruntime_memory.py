from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
import toys

from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.calls import Call
from edge.backends.onnxruntime.fused import FusedCompiler, FusedExecutable, optimised_pieces
from edge.backends.onnxruntime.memory import ALIGNMENT_BYTES, Shared, aligned
from edge.backends.onnxruntime.process import Process, this_process
from edge.backends.onnxruntime.weights import WeightPool
from edge.bundle import open_bundle


@pytest.fixture
def process() -> Process:
    process = this_process()
    process.use(1)
    return process


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (64, 16, 3, 3), (1, 43)])
def test_aligned(shape: tuple[int, ...]) -> None:
    kept = [aligned(shape) for _ in range(50)]
    for array in kept:
        assert array.shape == shape
        assert array.dtype == np.float32
        assert array.ctypes.data % ALIGNMENT_BYTES == 0
        assert array.flags.c_contiguous
        array[...] = 1.0


def test_pool_holds_equal_content_once(process: Process) -> None:
    pool = WeightPool(process.ort)
    weight = np.random.default_rng(0).random((4, 6), np.float32)
    pool.add("first", weight)
    pool.add("equal", weight.copy())
    pool.add("transposed", np.ascontiguousarray(weight.T).T)
    pool.add("reshaped", weight.reshape(6, 4))
    pool.add("other", weight + 1)
    assert pool["first"] is pool["equal"] is pool["transposed"]
    assert len({id(pool[name]) for name in ("first", "reshaped", "other")}) == 3
    assert pool.size_bytes == 3 * weight.nbytes
    assert "first" in pool
    assert "none" not in pool


def test_pool_copies_into_aligned_memory(process: Process) -> None:
    pool = WeightPool(process.ort)
    unaligned = np.arange(101, dtype=np.float32)[1:]
    pool.add("w", unaligned)
    np.testing.assert_array_equal(pool["w"].array, unaligned)
    assert pool["w"].array.ctypes.data % 64 == 0
    assert pool["w"].value.data_ptr() == pool["w"].array.ctypes.data
    unaligned[:] = 0
    assert pool["w"].array[3] == 4


def fused_call(executable: object) -> Call:
    assert isinstance(executable, FusedExecutable)
    assert not executable.before
    return executable.last


def test_routes_share_aligned_weights(gated: Path) -> None:
    bundle = open_bundle(gated)
    backend = OnnxRuntime(cache=False).open(bundle, threads=1)
    weights: dict[int, Shared] = {}
    for bits in itertools.product("01", repeat=len(bundle.network.gates)):
        call = fused_call(backend.compile(bundle.network.segment("".join(bits), 0, 0)))
        assert call.weights
        weights.update((weight.array.ctypes.data, weight) for weight in call.weights)
    assert all(address % ALIGNMENT_BYTES == 0 for address in weights)
    # Stored once, and padded to whole blocks at most.
    parameters = sum(stage.parameters for stage in bundle.network.stages.values())
    assert sum(weight.array.nbytes for weight in weights.values()) < 4 * parameters * 1.2


def test_every_large_weight_is_pooled(gated: Path, process: Process) -> None:
    bundle = open_bundle(gated)
    network = bundle.network
    pieces = optimised_pieces(process, network, {stage: bundle.stage_model(stage) for stage in network.stages})
    for piece in pieces.by_stage.values():
        initializers = onnx.load_model_from_string(piece.operators).graph.initializer
        for tensor in initializers:
            assert len(tensor.SerializeToString()) < 512
            assert (tensor.name in piece.weights) == (tensor.data_location == onnx.TensorProto.EXTERNAL)
        assert set(piece.weights) <= {tensor.name for tensor in initializers} & set(pieces.weights)


def uss_bytes() -> int:
    return int(psutil.Process().memory_full_info().uss)


@pytest.mark.slow
def test_sixteen_routes_cost_little_more_than_one(tmp_path: Path, process: Process) -> None:
    bundle = open_bundle(toys.gated_bundle(tmp_path / "wide", channels=96, size=8))
    network = bundle.network
    stages = {stage: bundle.stage_model(stage) for stage in network.stages}
    compiler = FusedCompiler(process, network, optimised_pieces(process, network, stages))
    image = toys.image(0, size=8)
    compiler.compile(network.segment("1111", 0, 0)).run(image)
    before = uss_bytes()
    executables = [compiler.compile(network.segment("".join(bits), 0, 0)) for bits in itertools.product("01", repeat=4)]
    for executable in executables:
        executable.run(image)
    weights = 4 * sum(stage.parameters for stage in network.stages.values())
    assert weights > 6e6
    # Each route with weights of its own would be eight times the weights.
    assert uss_bytes() - before < 3 * weights
