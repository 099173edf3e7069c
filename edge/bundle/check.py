"""What may be in the ONNX graph of a stage."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import numpy_helper

from edge.bundle.error import BundleError
from edge.network import Stage, TensorSpec

DOMAINS = ("", "ai.onnx", "com.microsoft")

# The oldest operator set that the backends are tested with.
OLDEST_OPSET = 17


def parse_stage(data: bytes, stage: Stage) -> onnx.ModelProto:
    """The model in the bytes of a stage's file, checked.

    Raises:
        BundleError: the bytes are no ONNX model, or it is not what the manifest says, or it holds what may not be in
            a bundle.
    """
    try:
        model = onnx.load_model_from_string(data)
        _check_graph(model, stage)
        onnx.checker.check_model(model, full_check=True)
    except BundleError:
        raise
    # On bytes that somebody altered, onnx and protobuf raise whatever comes to hand: DecodeError, ValidationError,
    # InferenceError, UnicodeDecodeError, ValueError and OverflowError were seen.
    except Exception as error:
        reason = "".join(letter if letter.isprintable() else "?" for letter in str(error).strip().split("\n")[0][:200])
        raise BundleError(f"{stage.file} is not a valid ONNX model ({reason}): export the bundle again") from None
    return model


def _check_graph(model: onnx.ModelProto, stage: Stage) -> None:
    graph = model.graph
    for opset in model.opset_import:
        _check_domain(opset.domain, stage)
        if opset.domain != "com.microsoft" and opset.version < OLDEST_OPSET:
            raise BundleError(f"{stage.file} uses opset {opset.version}: export it with {OLDEST_OPSET} or newer")
    if model.functions or model.training_info:
        raise BundleError(f"{stage.file} defines functions of its own: inline them before export")
    for node in graph.node:
        _check_node(node, stage)
    if graph.sparse_initializer:
        raise BundleError(f"{stage.file} holds sparse weights: store them dense")
    for tensor in graph.initializer:
        _check_tensor(tensor, stage)
    _check_boundary(graph.input, stage.input, "input", stage)
    _check_boundary(graph.output, stage.output, "output", stage)


def _check_domain(domain: str, stage: Stage) -> None:
    if domain not in DOMAINS:
        raise BundleError(
            f"{stage.file} uses the operator domain {domain[:40]!r}: only ai.onnx and com.microsoft are allowed"
        )


def _check_node(node: onnx.NodeProto, stage: Stage) -> None:
    _check_domain(node.domain, stage)
    # It wraps, or names a file with, an engine compiled elsewhere; engines are code.
    if node.op_type == "EPContext":
        raise BundleError(f"{stage.file} holds a compiled engine (EPContext): export the network itself")
    for attribute in node.attribute:
        # A stage is straight: decisions are the controller's, and a loop could run for ever.
        if attribute.HasField("g") or attribute.graphs:
            raise BundleError(
                f"{stage.file} holds control flow ({node.op_type[:40]!r}): a stage may not branch or loop"
            )
        if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
            raise BundleError(f"{stage.file} holds sparse weights: store them dense")
        for tensor in (attribute.t, *attribute.tensors) if attribute.HasField("t") else attribute.tensors:
            _check_tensor(tensor, stage)


def _check_tensor(tensor: onnx.TensorProto, stage: Stage) -> None:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise BundleError(f"{stage.file} keeps the tensor {tensor.name[:40]!r} in another file: store weights inside")
    # Raises where the bytes are too few for the dimensions, which the checker of onnx lets pass.
    numpy_helper.to_array(tensor)


def _check_boundary(values: Iterable[onnx.ValueInfoProto], spec: TensorSpec, side: str, stage: Stage) -> None:
    found = ", ".join(map(_describe, values))
    wanted = f"{spec.name!r} float {list(spec.shape)}"
    if found != wanted:
        raise BundleError(
            f"{stage.file} has as {side} {found[:200] or 'nothing'}, not {wanted} as the manifest says: export the "
            "bundle again"
        )


def _describe(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    dimensions = ", ".join(str(dimension.dim_value or "?") for dimension in tensor.shape.dim)
    return f"{value.name!r} {onnx.TensorProto.DataType.Name(tensor.elem_type).lower()} [{dimensions}]"
