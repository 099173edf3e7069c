"""Weights stored as int8 with a scale per output channel, and made float32 again."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edge.bundle.error import BundleError

_Number = TypeVar("_Number", bound=np.generic)

# Smaller tensors save nothing worth a node.
SMALLEST = 1024

_WEIGHT_INPUT = 1


def narrow(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose large Conv, Gemm and MatMul weights are int8 with one scale per output channel.

    Every float32 weight of at least 1024 elements is stored as w = q * scale, q in [-127, 127], in front of a standard
    DequantizeLinear: the result is itself a runnable model, a quarter of the size, and no weight moves by more than
    half a scale.

    Raises:
        BundleError: a weight is NaN or infinite.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    axes = _channel_axes(result.graph)
    stored: list[onnx.TensorProto] = []
    dequantize: list[onnx.NodeProto] = []
    for tensor in result.graph.initializer:
        axis = axes.get(tensor.name)
        if axis is None or tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST:
            stored.append(tensor)
            continue
        quantized, scale = _quantize(numpy_helper.to_array(tensor), axis, tensor.name)
        names = [f"{tensor.name}.int8", f"{tensor.name}.scale"]
        stored += [numpy_helper.from_array(quantized, names[0]), numpy_helper.from_array(scale, names[1])]
        dequantize.append(onnx.helper.make_node("DequantizeLinear", names, [tensor.name], axis=axis))
    _replace(result.graph, dequantize + list(result.graph.node), stored)
    return result


def widen(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with float32 weights: each DequantizeLinear, or Cast from float16, of a stored tensor is folded into it.

    The values are exactly those that the nodes give when the model is run.

    Raises:
        BundleError: a scale does not fit its tensor, or gives values that are not finite.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        if _is_stored_narrow(node, stored):
            stored[node.output[0]] = numpy_helper.from_array(_fold(node, stored), node.output[0])
        else:
            kept.append(node)
    used = {name for node in kept for name in node.input} | {value.name for value in graph.output}
    _replace(graph, kept, [tensor for name, tensor in stored.items() if name in used])
    return result


def _channel_axes(graph: onnx.GraphProto) -> dict[str, int]:
    """The output-channel axis of every tensor that is a weight, and nothing else, wherever it is used."""
    axes: dict[str, int] = {}
    ranks = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    unclear = {value.name for value in graph.output}
    for node in graph.node:
        for position, name in enumerate(node.input):
            axis = _channel_axis(node, ranks[name]) if position == _WEIGHT_INPUT and name in ranks else None
            if axis is None or axes.setdefault(name, axis) != axis:
                unclear.add(name)
    return {name: axis for name, axis in axes.items() if name not in unclear}


def _channel_axis(node: onnx.NodeProto, rank: int) -> int | None:
    if node.domain in ("", "ai.onnx"):
        if node.op_type == "Conv":
            return 0
        if node.op_type == "Gemm":
            return 0 if _attribute(node, "transB", 0) else 1
        if node.op_type == "MatMul" and rank >= 2:
            return rank - 1
    return None


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), default)


def _quantize(weight: NDArray[np.float32], axis: int, name: str) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    if not np.isfinite(weight).all():
        raise BundleError(f"the weight {name!r} is not finite: the training diverged")
    others = tuple(index for index in range(weight.ndim) if index != axis)
    # A channel of zeros still needs a scale that can be divided by.
    scale = np.maximum(np.abs(weight).max(others) / np.float32(127), np.finfo(np.float32).tiny)
    rounded = np.rint(weight.astype(np.float64) / _along(scale, axis, weight.ndim))
    return np.clip(rounded, -127, 127).astype(np.int8), scale.astype(np.float32)


def _along(values: NDArray[_Number], axis: int, rank: int) -> NDArray[_Number]:
    """One value, or those of one axis, shaped to be broadcast over a tensor of that rank."""
    return values.reshape([-1 if index == axis else 1 for index in range(rank)] if values.size > 1 else ())


def _inputs(node: onnx.NodeProto) -> list[str]:
    """Its inputs without those left out, which have an empty name."""
    return [name for name in node.input if name]


def _is_stored_narrow(node: onnx.NodeProto, stored: dict[str, onnx.TensorProto]) -> bool:
    names = _inputs(node)
    if node.domain not in ("", "ai.onnx") or not all(name in stored for name in names):
        return False
    types = [stored[name].data_type for name in names]
    if node.op_type == "Cast":
        return types == [onnx.TensorProto.FLOAT16] and _attribute(node, "to", 0) == onnx.TensorProto.FLOAT
    return (
        node.op_type == "DequantizeLinear"
        and types[:1] in ([onnx.TensorProto.INT8], [onnx.TensorProto.UINT8])
        and types[1:2] == [onnx.TensorProto.FLOAT]
        and not _attribute(node, "block_size", 0)
        and _attribute(node, "output_dtype", 0) in (0, onnx.TensorProto.FLOAT)
    )


def _fold(node: onnx.NodeProto, stored: dict[str, onnx.TensorProto]) -> NDArray[np.float32]:
    values, *parameters = (numpy_helper.to_array(stored[name]) for name in _inputs(node))
    if node.op_type == "Cast":
        return values.astype(np.float32)
    axis = _attribute(node, "axis", 1)
    axis += values.ndim if axis < 0 else 0
    for parameter in parameters:
        fits = parameter.size == 1 or (
            parameter.ndim == 1 and axis in range(values.ndim) and parameter.size == values.shape[axis]
        )
        if not fits:
            raise BundleError(f"the scale of weight {node.output[0][:40]!r} does not fit it: export the bundle again")
    scale, *zero_point = (_along(parameter, axis, values.ndim) for parameter in parameters)
    # int32, because a zero point may lie 255 away from a value.
    centred = values.astype(np.int32) - zero_point[0].astype(np.int32) if zero_point else values
    # A scale that overflows is refused in the next line, not warned of.
    with np.errstate(over="ignore", invalid="ignore"):
        weight = np.asarray(centred.astype(np.float32) * scale, np.float32)
    if not np.isfinite(weight).all():
        raise BundleError(f"the weight {node.output[0][:40]!r} is not finite: export the bundle again")
    return weight


def _replace(graph: onnx.GraphProto, nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto]) -> None:
    nodes, initializers = list(nodes), list(initializers)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(initializers)
