"""Which tensors of a network become int8, and the numbers they become: what backends that compute in int8 share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.backends.activations import Range, RangeError, stated_ranges
from edge.backends.compose import IMAGE, network_inputs
from edge.network import Network

if TYPE_CHECKING:
    import onnx

# Operators that backends compute in int8 between DequantizeLinear and QuantizeLinear.
WEIGHTED = ("Conv", "Gemm")
_UNWEIGHTED = ("Add", "AveragePool", "GlobalAveragePool")
# Those that only move or choose values: in and out must have one scale.
_MOVING = ("MaxPool", "Flatten", "Reshape")
# What vanishes into the rounding behind it, which cuts off below its range anyway.
_ABSORBED = ("Relu", "Clip")


def shared_places(network: Network) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Pairs of (stage, tensor) that must have one range, for the stages' inputs and outputs."""
    stages, inputs = network.stages, network_inputs(network)

    def taken(stage: str) -> tuple[str, str]:
        return stage, stages[stage].input.name

    def given(stage: str) -> tuple[str, str]:
        return stage, stages[stage].output.name

    for stage, source in inputs.items():
        if source != IMAGE:
            yield given(source), taken(stage)
    for gate in network.gates:
        other = given(gate.bypass) if gate.bypass is not None else taken(gate.block)
        yield given(gate.block), other


def float_ends(network: Network) -> dict[str, tuple[bool, bool]]:
    """For every stage whether its input is the image, and whether its output is scores: these stay float32."""
    trunk = {*network.order, *(gate.bypass for gate in network.gates)}
    return {stage: (source == IMAGE, stage not in trunk) for stage, source in network_inputs(network).items()}


def network_ranges(network: Network, stages: Mapping[str, onnx.ModelProto]) -> dict[str, dict[str, Range]]:
    """The ranges that the stages state, by stage and tensor.

    Raises:
        RangeError: a stage states none, or two that meet state different ones.
    """
    ranges = {stage: stated_ranges(model, stage) for stage, model in stages.items()}
    for (stage, tensor), (other, its_tensor) in shared_places(network):
        if ranges[stage].get(tensor) != ranges[other].get(its_tensor):
            raise RangeError(f"stages {stage} and {other} meet at different ranges: calibrate the bundle again")
    return ranges


def int8_tensors(model: onnx.ModelProto, image: bool, scores: bool) -> dict[str, str]:
    """The tensors of a stage that become uint8, each with the one whose range it has: itself, mostly.

    With `image` its input stays float32, with `scores` its output.
    """
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = {} if image else {graph.input[0].name: graph.input[0].name}
    for node in graph.node:
        if not in_int8(node, weights) or (node.op_type in _MOVING and node.input[0] not in found):
            continue
        for name in _activations(node, weights):
            found.setdefault(name, name)
        output = _last(node, readers)
        if node.op_type == "Gemm" and not any(in_int8(reader, weights) for reader in readers.get(output, ())):
            continue
        found[output] = found[node.input[0]] if node.op_type in _MOVING else output
    if scores:
        found.pop(graph.output[0].name, None)
    else:
        found.setdefault(graph.output[0].name, graph.output[0].name)
    return found


def in_int8(node: onnx.NodeProto, weights: set[str]) -> bool:
    """Whether an operator computes in int8, given the names of the constants."""
    if node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type in WEIGHTED:
        return node.input[1] in weights and not set(node.input[2:]) - weights
    return node.op_type in _MOVING or (node.op_type in _UNWEIGHTED and not set(node.input) & weights)


def _activations(node: onnx.NodeProto, weights: set[str]) -> list[str]:
    return [name for name in node.input if name and name not in weights]


def _last(node: onnx.NodeProto, readers: Mapping[str, list[onnx.NodeProto]]) -> str:
    """The output of an operator, or that of the activation that is all that reads it."""
    behind = readers.get(node.output[0], [])
    if node.op_type not in _MOVING and len(behind) == 1 and behind[0].op_type in _ABSORBED:
        return str(behind[0].output[0])
    return str(node.output[0])


def transposes(node: onnx.NodeProto) -> bool:
    """Whether a Gemm's weights have the output channels first."""
    return any(attribute.name == "transB" and attribute.i for attribute in node.attribute)


def to_int8(weight: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Whole numbers in [-127, 127] and a scale per channel; of weights that a bundle stores so, the very same."""
    others = tuple(index for index in range(weight.ndim) if index != axis)
    # A channel of zeros still needs a scale that can be divided by; the smallest float would overflow the bias.
    scale = np.maximum(np.abs(weight).max(others) / np.float32(127), np.float32(1e-12))
    along = scale.reshape([-1 if index == axis else 1 for index in range(weight.ndim)])
    return np.clip(np.rint(weight / along), -127, 127).astype(np.int8), scale
