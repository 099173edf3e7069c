"""A TensorRT on the processor: ONNX Runtime computes what an engine says, on the memory of the CUDA double.

It has those names alone that the Python bindings of one version have (`tensorrt_api/`), and keeps features in memory as
the layouts say.  What it builds it loads, and nothing else.
"""

from __future__ import annotations

import ast
import ctypes
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
from cuda_double import DoubleDevice, DoubleGraphs, DoubleStream, at
from onnx import TensorProto

from edge.backends.cuda import opening
from edge.backends.tensorrt import backend, obtain
from edge.backends.tensorrt.engines import Boundary
from edge.backends.tensorrt.targets import Device, Machine

DUMPS = Path(__file__).parent / "tensorrt_api"
VERSIONS = ["8.5.3.1", "10.3.0", "10.16.1.11", "11.4.0.106"]
ORIN = Machine(jetson=True, device=Device("Orin", "sm87"))
SCRATCH_BYTES = 512

_ELEMENTS = {TensorProto.FLOAT: "FLOAT", TensorProto.FLOAT16: "HALF", TensorProto.INT8: "INT8"}
_DTYPES = {"FLOAT": "float32", "HALF": "float16", "INT8": "int8"}


def dump(version: str) -> dict[str, list[str]]:
    """The members of each class, as its Python bindings show them; of a class that is not there, none."""
    found: dict[str, list[str]] = {}
    for line in (DUMPS / f"{version}.txt").read_text().splitlines()[1:]:
        name, _, members = line.partition(" ")
        found[name] = ast.literal_eval(members) if members.startswith("[") else []
    return found


@dataclass
class Faults:
    """What goes wrong: so many loads are refused with these words, there are no contexts, nothing is built or runs."""

    refused_loads: int = 0
    words: str = "the engine plan file is not compatible with this version of TensorRT"
    no_context: bool = False
    no_build: bool = False
    no_run: bool = False


def tensorrt_double(version: str, faults: Faults | None = None) -> SimpleNamespace:
    """The module `tensorrt` of a version."""
    faults, known = faults or Faults(), dump(version)
    kinds = ("NetworkDefinitionCreationFlag", "BuilderFlag", "TensorFormat", "DataType")
    enumerations = {kind: IntEnum(kind, {name: index for index, name in enumerate(known[kind])}) for kind in kinds}
    elements, formats = enumerations["DataType"], enumerations["TensorFormat"]
    if strategies := known.get("ExecutionContextAllocationStrategy"):
        kind = "ExecutionContextAllocationStrategy"
        enumerations[kind] = IntEnum(kind, {name: index for index, name in enumerate(strategies)})

    class ILogger:
        INTERNAL_ERROR, ERROR = 0, 1

    class ITensor:
        allowed_formats = 1 << int(formats.LINEAR)

        def __init__(self, value: onnx.ValueInfoProto) -> None:
            tensor = value.type.tensor_type
            self.name, self.dtype = value.name, elements[_ELEMENTS[tensor.elem_type]]
            self.shape = tuple(each.dim_value for each in tensor.shape.dim)

        def stated(self) -> dict[str, Any]:
            (layout,) = (
                name for name in ("LINEAR", "HWC8", "CHW4", "CHW32") if self.allowed_formats >> formats[name] & 1
            )
            return {
                "name": self.name,
                "shape": self.shape,
                "element": _DTYPES[self.dtype.name],
                "layout": layout,
            }

    class INetworkDefinition:
        inputs: list[ITensor]
        outputs: list[ITensor]

        num_inputs = property(lambda self: len(self.inputs))
        num_outputs = property(lambda self: len(self.outputs))

        def get_input(self, index: int) -> ITensor:
            return self.inputs[index]

        def get_output(self, index: int) -> ITensor:
            return self.outputs[index]

    class OnnxParser:
        num_errors = 0

        def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
            self._network = network

        def parse(self, model: bytes) -> bool:
            graph = onnx.load_from_string(model).graph
            self._network.model = model
            self._network.inputs, self._network.outputs = map(ITensor, graph.input), map(ITensor, graph.output)
            self._network.inputs, self._network.outputs = [*self._network.inputs], [*self._network.outputs]
            return True

    class ITimingCache:
        def serialize(self) -> bytes:
            return b"timings"

    class IBuilderConfig:
        def clear_flag(self, flag: IntEnum) -> None:
            assert flag is enumerations["BuilderFlag"].TF32

        def set_flag(self, flag: IntEnum) -> None:
            assert "STRONGLY_TYPED" not in known["NetworkDefinitionCreationFlag"], "types are those of the graph"

        def create_timing_cache(self, timings: bytes) -> ITimingCache:
            return ITimingCache()

        def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
            self._timings = cache
            return True

        def get_timing_cache(self) -> ITimingCache:
            return self._timings

    class Builder:
        def __init__(self, logger: ILogger) -> None:
            self._logger = logger

        def create_network(self, flags: int) -> INetworkDefinition:
            return INetworkDefinition()

        def create_builder_config(self) -> IBuilderConfig:
            return IBuilderConfig()

        def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> bytes | None:
            if faults.no_build:
                self._logger.log(ILogger.ERROR, "[defaultAllocator.cpp] out of memory")
                return None
            stated = [tensor.stated() for tensor in (*network.inputs, *network.outputs)]
            header = {"version": version, "inputs": network.num_inputs, "tensors": stated}
            return json.dumps(header).encode() + b"\n" + network.model

    class Runtime:
        def __init__(self, logger: ILogger) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, plan: bytes) -> ICudaEngine | None:
            header, model = plan.split(b"\n", 1)
            if faults.refused_loads or json.loads(header)["version"] != version:
                faults.refused_loads -= 1
                self._logger.log(ILogger.ERROR, faults.words)
                return None
            return ICudaEngine(json.loads(header), model)

    class ICudaEngine:
        def __init__(self, header: dict[str, Any], model: bytes) -> None:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.log_severity_level = 1, 3
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            tensors = [Boundary(**{**each, "shape": tuple(each["shape"])}) for each in header["tensors"]]
            self._taken, self._given = tensors[: header["inputs"]], tensors[header["inputs"] :]

        num_io_tensors = property(lambda self: len(self._taken) + len(self._given))
        device_memory_size = device_memory_size_v2 = SCRATCH_BYTES

        def get_tensor_name(self, index: int) -> str:
            return (*self._taken, *self._given)[index].name

        def create_execution_context(self, strategy: IntEnum) -> IExecutionContext | None:
            assert strategy.name == "USER_MANAGED"
            return None if faults.no_context else IExecutionContext(self)

        def create_execution_context_without_device_memory(self) -> IExecutionContext | None:
            return None if faults.no_context else IExecutionContext(self)

    class IExecutionContext:
        def __init__(self, engine: ICudaEngine) -> None:
            self._engine = engine
            self._scratch: int | None = None
            self._addresses: dict[str, int] = {}

        def set_device_memory(self, memory: int, size: int) -> None:
            assert size == SCRATCH_BYTES
            self._scratch = memory

        device_memory = property(fset=lambda self, memory: setattr(self, "_scratch", memory))

        def set_tensor_address(self, name: str, memory: int) -> bool:
            self._addresses[name] = memory
            return True

        def execute_async_v3(self, handle: int) -> bool:
            assert self._scratch is not None, "the context has no memory"
            stream = ctypes.cast(handle, ctypes.py_object).value
            assert isinstance(stream, DoubleStream)
            # As they are now: they are set again before the work is done.
            addresses = dict(self._addresses)
            stream.add("engine", lambda: self._compute(addresses))
            return not faults.no_run

        def _compute(self, addresses: dict[str, int]) -> None:
            at(self._scratch, SCRATCH_BYTES)[:] = 0xFF
            engine = self._engine
            fed = {each.name: unpacked(at(addresses[each.name], each.size_bytes), each) for each in engine._taken}
            found = engine._session.run([each.name for each in engine._given], fed)
            for each, array in zip(engine._given, found, strict=True):
                at(addresses[each.name], each.size_bytes)[:] = packed(array, each)

    classes: list[type] = [ILogger, OnnxParser, ITimingCache, Builder, Runtime]
    for kind in (ITensor, INetworkDefinition, IBuilderConfig, Builder, Runtime, ICudaEngine, IExecutionContext):
        for name in [each for each in vars(kind) if not each.startswith("_") and each != "stated"]:
            if name not in known[kind.__name__] and name not in ("inputs", "outputs"):
                delattr(kind, name)
    return SimpleNamespace(__version__=version, **enumerations, **{each.__name__: each for each in classes})


def unpacked(memory: np.ndarray, boundary: Boundary) -> np.ndarray:
    """Features (1, channels, ...) as they lie in memory (bytes,) in a layout."""
    values = memory.view(boundary.element)
    if boundary.layout == "LINEAR":
        return values.reshape(boundary.shape)
    _, channels, height, width = boundary.shape
    vector = int(boundary.layout[3:])
    filled = -(-channels // vector) * vector
    if boundary.layout == "HWC8":
        ordered = values.reshape(1, height, width, filled).transpose(0, 3, 1, 2)
    else:
        split = values.reshape(1, filled // vector, height, width, vector)
        ordered = split.transpose(0, 1, 4, 2, 3).reshape(1, filled, height, width)
    return np.ascontiguousarray(ordered[:, :channels])


def packed(features: np.ndarray, boundary: Boundary) -> np.ndarray:
    """The inverse of `unpacked`; what fills up the last vector is 0."""
    assert (str(features.dtype), features.shape) == (boundary.element, boundary.shape)
    if boundary.layout != "LINEAR":
        _, channels, height, width = features.shape
        vector = int(boundary.layout[3:])
        filled = np.pad(features, ((0, 0), (0, -channels % vector), (0, 0), (0, 0)))
        if boundary.layout == "HWC8":
            features = filled.transpose(0, 2, 3, 1)
        else:
            features = filled.reshape(1, -1, vector, height, width).transpose(0, 1, 3, 4, 2)
    return np.ascontiguousarray(features).reshape(-1).view(np.uint8)


def install(
    monkeypatch: Any,
    version: str = "10.3.0",
    faults: Faults | None = None,
    machine: Machine = ORIN,
    device: Callable[[], DoubleDevice] = DoubleDevice,
) -> None:
    """Make this machine a board with a TensorRT, pycuda and cuda-python, all of them doubles."""
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt_double(version, faults))
    for module in (backend, obtain):
        monkeypatch.setattr(module, "read_machine", lambda: machine)
    monkeypatch.setattr(backend, "open_device", lambda wait: device())
    monkeypatch.setattr(opening, "open_graphs", lambda device: DoubleGraphs())
