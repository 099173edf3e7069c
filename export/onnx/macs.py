"""What a stage costs: multiply-accumulates and parameters, counted on its ONNX graph."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx


@dataclass(frozen=True, slots=True)
class Cost:
    """`macs` for one image, of convolutions and matrix products alone; `parameters` are their weights and biases."""

    macs: int
    parameters: int


def count(model: onnx.ModelProto) -> Cost:
    """The cost of one run of `model`, whose shapes must all be static.

    A convolution costs one multiply-accumulate for each output element, input channel of its group and kernel element;
    a matrix product one for each output element and element of the axis summed over.  Biases, normalisation,
    activations and pooling cost none, as in the literature.
    """
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    shapes = {value.name: _shape(value) for value in (*graph.input, *graph.value_info, *graph.output)}
    weights = {weight.name: tuple(weight.dims) for weight in graph.initializer}
    shapes |= weights
    macs, used = 0, set[str]()
    for node in graph.node:
        if node.op_type == "Conv":
            macs += math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type in ("Gemm", "MatMul"):
            transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
            macs += math.prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if transposed else -1]
        else:
            continue
        used.update(name for name in node.input if name in weights)
    return Cost(macs, sum(math.prod(weights[name]) for name in used))


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
