"""Optimise a network as a whole, then cut the result into one piece a stage.

A stage that is optimised on its own gets its tensors in the plain layout (NCHW), so that every boundary costs two
conversions from and to the blocked layout the convolutions work in, and it loses the addition fused into its last
convolution.  Cut from the optimised whole, pieces pass blocked tensors on, and joined again they are the same list of
operators as a static network's.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge.backends.compose import network_inputs
from edge.backends.onnxruntime import placeholder
from edge.backends.onnxruntime.pieces import INPUT, Piece, Pieces
from edge.backends.onnxruntime.process import Process
from edge.backends.onnxruntime.weights import WeightPool
from edge.network import Network

if TYPE_CHECKING:
    import onnx


NCHWC_DOMAIN = "com.microsoft.nchwc"
# Weights, and of int8 networks their biases; whole numbers of 64 bits are shapes and axes.
POOLED_TYPES = tuple(map(np.dtype, (np.float32, np.int8, np.uint8, np.int32)))
# Smaller constants stay in the graph: some kernels want them when they are made (axes, shapes, limits).
_POOLED_BYTES = 256


class CutError(Exception):
    """The optimised graph has no clean cut at a stage's boundary."""


class _Tensor(NamedTuple):
    """One that passes between pieces; `element_type` is ONNX's number."""

    name: str
    shape: tuple[int, ...]
    element_type: int


@dataclass(frozen=True, slots=True)
class _Subgraph:
    """What leads from tensor `source` to tensor `target`, either of them plain or blocked.

    `weights` are names of initializers whose content is in the pool.
    """

    source: _Tensor
    target: _Tensor
    nodes: tuple[onnx.NodeProto, ...]
    initializers: tuple[onnx.TensorProto, ...]
    weights: tuple[str, ...]


def optimise(process: Process, composed: onnx.ModelProto) -> onnx.ModelProto:
    """The graph as ONNX Runtime optimises it for this machine, and for no other."""
    import onnx

    with tempfile.TemporaryDirectory(prefix="edgebench-") as folder:
        path = Path(folder, "optimised.onnx")
        options = process.options(optimise=True)
        options.optimized_model_filepath = str(path)
        options.add_session_config_entry("session.disable_prepacking", "1")
        process.session(composed.SerializeToString(), options)
        return onnx.load(path)


def block_size(process: Process) -> int:
    """How many channels the blocked layout keeps together on this machine: 8 or 16, as wide as a vector register."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("ReorderInput", ["x"], ["y"], domain=NCHWC_DOMAIN)],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 1, 1))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    opset_imports = [helper.make_opsetid("", 17), helper.make_opsetid(NCHWC_DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opset_imports, ir_version=8)
    session = process.session(model.SerializeToString(), process.options(optimise=False))
    return int(session.run(None, {"x": np.zeros((1, 4, 1, 1), np.float32)})[0].shape[1])


def cut(network: Network, optimised: onnx.ModelProto, process: Process) -> Pieces:
    """Cut at the output of every stage.

    Raises:
        CutError: a stage reads more than its input, or a dropped block would change the layout.
    """
    pool = WeightPool(process.ort)
    graph = _Graph(optimised.graph, pool)
    inputs = network_inputs(network)
    blocked = {stage: graph.blocked(stage) for stage in inputs}
    for gate in network.gates:
        if gate.bypass is not None and blocked[gate.block] is None:
            blocked[gate.bypass] = None
    block = block_size(process) if any(blocked.values()) else 1

    declared = _declared(optimised.graph)

    def boundary(stage: str) -> _Tensor:
        return _boundary(declared[stage], blocked.get(stage), block)

    subgraphs = {stage: graph.between(boundary(source), boundary(stage)) for stage, source in inputs.items()}
    # Whichever way a frame came, a stage must find its features in the one layout it was optimised for.
    for gate in network.gates:
        layout_changes = (blocked.get(inputs[gate.block]) is None) != (blocked[gate.block] is None)
        if gate.bypass is None and layout_changes:
            raise CutError(f"block {gate.block} changes the layout of its features and cannot be left out")
        if gate.bypass is not None and blocked[gate.bypass] is None and blocked[gate.block] is not None:
            subgraphs[gate.bypass] = _then_blocked(subgraphs[gate.bypass], boundary(gate.block))
    pieces = {stage: _piece(stage, subgraph, number) for number, (stage, subgraph) in enumerate(subgraphs.items(), 1)}
    return Pieces(_header(optimised), pieces, pool.by_name)


def _declared(graph: onnx.GraphProto) -> Mapping[str, _Tensor]:
    """The image and what the stages give, by name."""
    return {
        value.name: _Tensor(
            value.name,
            tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim),
            value.type.tensor_type.elem_type,
        )
        for value in (*graph.input, *graph.output)
    }


def _boundary(given: _Tensor, token: str | None, block: int) -> _Tensor:
    """The tensor that a stage passes on: blocked where there is such a token, its channels filled up."""
    if token is None:
        return given
    batch, channels, *rest = given.shape
    return _Tensor(token, (batch, -(-channels // block) * block, *rest), given.element_type)


def _then_blocked(subgraph: _Subgraph, like: _Tensor) -> _Subgraph:
    """The same with its plain output converted to the blocked layout."""
    from onnx import helper

    target = like._replace(name=f"{subgraph.target.name}/blocked")
    reorder = helper.make_node("ReorderInput", [subgraph.target.name], [target.name], domain=NCHWC_DOMAIN)
    return replace(subgraph, target=target, nodes=(*subgraph.nodes, reorder))


def _header(optimised: onnx.ModelProto) -> bytes:
    from onnx import GraphProto, ModelProto

    model = ModelProto(
        ir_version=optimised.ir_version, opset_import=optimised.opset_import, graph=GraphProto(name="segment")
    )
    return _bytes(model)


def _bytes(model: onnx.ModelProto) -> bytes:
    data: bytes = model.SerializeToString()
    return data


def _piece(stage: str, subgraph: _Subgraph, number: int) -> Piece:
    """A subgraph as bytes, its input called `INPUT`, its output by its number."""
    from onnx import GraphProto, ModelProto, helper

    output = f"/piece/{number:08d}"
    names = {subgraph.source.name: INPUT, subgraph.target.name: output}
    graph = GraphProto(node=subgraph.nodes, initializer=subgraph.initializers)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    operators = _bytes(ModelProto(graph=graph))
    uses = sum(name == INPUT for node in graph.node for name in node.input)
    if not uses or operators.count(INPUT.encode()) != uses:
        raise CutError(f"stage {stage} does not read its input, or says {INPUT} in another place")

    def declared(name: str, tensor: _Tensor) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, tensor.element_type, tensor.shape)]

    return Piece(
        operators,
        output,
        _bytes(ModelProto(graph=GraphProto(input=declared(INPUT, subgraph.source)))),
        _bytes(ModelProto(graph=GraphProto(output=declared(output, subgraph.target)))),
        subgraph.weights,
    )


class _Graph:
    """Look-ups in an optimised graph."""

    def __init__(self, graph: onnx.GraphProto, pool: WeightPool) -> None:
        self._nodes = graph.node
        self._producer = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._pool = pool

    def blocked(self, name: str) -> str | None:
        """The tensor in blocked layout that a plain tensor is converted from, or None where there is none."""
        if name not in self._producer:
            raise CutError(f"the optimised graph gives no {name}")
        node = self._nodes[self._producer[name]]
        if node.op_type != "ReorderOutput" or node.domain != NCHWC_DOMAIN:
            return None
        channels_last = any(attribute.name == "channels_last" and attribute.i for attribute in node.attribute)
        return None if channels_last else node.input[0]

    def between(self, source: _Tensor, target: _Tensor) -> _Subgraph:
        """What leads from one tensor to another."""
        nodes = [self._nodes[index] for index in self._between(source.name, target.name)]
        names = {name for node in nodes for name in node.input}
        initializers = [self._initializers[name] for name in sorted(names & self._initializers.keys())]
        weights = tuple(tensor.name for tensor in initializers if self._pooled(tensor))
        small = [_placeholder(tensor) if tensor.name in weights else tensor for tensor in initializers]
        return _Subgraph(source, target, tuple(nodes), tuple(small), weights)

    def _between(self, source: str, target: str) -> list[int]:
        """The places of the nodes from which a tensor follows, given another, in order."""
        wanted, found = [target], set[int]()
        while wanted:
            name = wanted.pop()
            if name in ("", source) or name in self._initializers:
                continue
            if name not in self._producer:
                raise CutError(f"{target} follows from {name}, which is not its input {source}")
            index = self._producer[name]
            if index not in found:
                found.add(index)
                wanted.extend(self._nodes[index].input)
        return sorted(found)

    def _pooled(self, tensor: onnx.TensorProto) -> bool:
        """Whether a weight belongs to the pool, where it then is."""
        from onnx import helper, numpy_helper

        if tensor.name in self._pool:
            return True
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
        if dtype not in POOLED_TYPES or dtype.itemsize * math.prod(tensor.dims) < _POOLED_BYTES:
            return False
        self._pool.add(tensor.name, numpy_helper.to_array(tensor))
        return True


def _placeholder(tensor: onnx.TensorProto) -> onnx.TensorProto:
    """A weight without its content, which `SessionOptions.add_initializer` supplies."""
    from onnx import TensorProto

    empty = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    empty.data_location = TensorProto.EXTERNAL
    entry = empty.external_data.add()
    entry.key, entry.value = "location", placeholder.NAME
    return empty
