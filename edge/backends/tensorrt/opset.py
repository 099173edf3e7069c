"""A stage in an older operator set, for parsers that would misread a newer one without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.backends.base import BackendError

if TYPE_CHECKING:
    import onnx

# The sets between which the operators below changed, and what the older wants of a file.
_OLDER, _IR_VERSION = 17, 8
# From 18 on their axes are an input; before, an attribute.
_REDUCTIONS = ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2")
# The same in all sets from 17 to 20 in what stages use of them; AveragePool got dilations with 19.
_UNCHANGED = (
    *("Add", "AveragePool", "Cast", "Clip", "Concat", "Constant", "Conv", "DequantizeLinear", "Div", "Flatten", "Gemm"),
    *("GlobalAveragePool", "HardSigmoid", "HardSwish", "Identity", "MatMul", "MaxPool", "Mul", "QuantizeLinear"),
    *("Relu", "Reshape", "Sigmoid", "Softmax", "Squeeze", "Sub", "Transpose", "Unsqueeze"),
)


def lowered(model: onnx.ModelProto, newest_opset: int, stage_id: str) -> onnx.ModelProto:
    """The stage in an operator set that the parser reads; itself, if it is one already.

    Raises:
        BackendError: it uses an operator that cannot be said in the older set.
    """
    opset = next((entry for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)
    if opset is None or opset.version <= newest_opset:
        return model
    if newest_opset != _OLDER:
        raise BackendError(
            f"stage {stage_id} uses opset {opset.version}, and this TensorRT reads {newest_opset} and older: export "
            "the network with an older one"
        )
    from onnx import ModelProto, checker

    older = ModelProto()
    older.CopyFrom(model)
    older.ir_version = min(older.ir_version, _IR_VERSION)
    for entry in older.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = _OLDER
    weights = {tensor.name: tensor for tensor in older.graph.initializer}
    for node in older.graph.node:
        _lower(node, weights, stage_id)
    read = {name for node in older.graph.node for name in node.input}
    kept = [tensor for tensor in older.graph.initializer if tensor.name in read]
    del older.graph.initializer[:]
    older.graph.initializer.extend(kept)
    try:
        checker.check_model(older, full_check=True)
    except Exception as error:
        raise _refused(stage_id, str(error).strip().split("\n")[0]) from error
    return older


def _lower(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto], stage_id: str) -> None:
    from onnx import helper, numpy_helper

    if node.op_type in _REDUCTIONS:
        axes = node.input[1] if len(node.input) > 1 else ""
        if axes not in weights:
            raise _refused(stage_id, f"the axes of {node.op_type} are not constants")
        del node.input[1:]
        kept = [attribute for attribute in node.attribute if attribute.name == "keepdims"]
        del node.attribute[:]
        axes_attribute = helper.make_attribute("axes", numpy_helper.to_array(weights[axes]).tolist())
        node.attribute.extend([*kept, axes_attribute])
    elif node.op_type not in _UNCHANGED:
        raise _refused(stage_id, f"{node.op_type} may mean something else there")


def _refused(stage_id: str, reason: str) -> BackendError:
    return BackendError(
        f"stage {stage_id} cannot be said in opset {_OLDER}, the newest that this TensorRT reads ({reason}): export "
        f"the network with opset {_OLDER}, or use TensorRT 10 or newer"
    )
