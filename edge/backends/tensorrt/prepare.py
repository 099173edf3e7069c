"""What the builder is given: each stage in the precision asked for, and what its engine's boundaries will be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from edge.backends.activations import RangeError
from edge.backends.base import BackendError
from edge.backends.compose import IMAGE, compose, segment_inputs
from edge.backends.int8 import float_ends
from edge.backends.models import StageModels
from edge.backends.tensorrt.engines import Boundary, ElementType, Layout, Precision
from edge.backends.tensorrt.half import in_half
from edge.backends.tensorrt.opset import lowered
from edge.backends.tensorrt.quantise import quantised
from edge.network import Network, Segment, TensorSpec

if TYPE_CHECKING:
    import onnx

_FEATURES: dict[Precision, ElementType] = {"fp32": "float32", "fp16": "float16", "int8": "int8"}


@dataclass(frozen=True, slots=True)
class Part:
    """What becomes one engine: a graph, and its boundaries, whose names, shapes and elements are the graph's."""

    model: onnx.ModelProto
    inputs: tuple[Boundary, ...]
    outputs: tuple[Boundary, ...]


@dataclass(frozen=True)
class PreparedModels:
    """A network whose stages are in a precision: itself what a backend needs to know of a bundle."""

    network: Network
    digest: str
    stages: Mapping[str, onnx.ModelProto]

    def stage_model(self, stage_id: str) -> onnx.ModelProto:
        return self.stages[stage_id]


def prepare(models: StageModels, precision: Precision, newest_opset: int) -> PreparedModels:
    """The network's stages in a precision and in an operator set that the parser reads.

    Image and scores are float32, features what the precision says.

    Raises:
        BackendError: the network cannot be had in that precision, or its operators not in that set.
    """
    network = models.network
    stages = {stage: lowered(models.stage_model(stage), newest_opset, stage) for stage in network.stages}
    if precision == "fp16":
        stages = {stage: in_half(stages[stage], stage, *ends) for stage, ends in float_ends(network).items()}
    if precision == "int8":
        try:
            stages = quantised(network, stages)
        except RangeError as error:
            raise BackendError(f"this network cannot run in int8: {error}") from error
    return PreparedModels(network, models.digest, stages)


def boundaries(network: Network, precision: Precision) -> dict[str, tuple[Boundary, Boundary]]:
    """Input and output of every stage's engine; known without looking at a graph."""
    found = {}
    for stage_id, (image, scores) in float_ends(network).items():
        stage = network.stages[stage_id]
        found[stage_id] = (
            _boundary(stage.input, "fp32" if image else precision),
            _boundary(stage.output, "fp32" if scores else precision),
        )
    return found


def segment_boundaries(
    network: Network, segment: Segment, precision: Precision
) -> tuple[tuple[Boundary], tuple[Boundary, ...]]:
    """Inputs and outputs of a fused segment's engine: outputs are scores, then features if it continues."""
    of_stage = boundaries(network, precision)
    chain = (*segment.stages, segment.head)
    taken, scores = of_stage[chain[0]][0], of_stage[segment.head][1]
    outputs = [_renamed(scores, segment.head)]
    if segment.continues:
        outputs.append(_renamed(of_stage[segment.stages[-1]][1], segment.stages[-1]))
    return (_renamed(taken, IMAGE),), tuple(outputs)


def stage_part(models: PreparedModels, stage_id: str, precision: Precision) -> Part:
    """A stage on its own."""
    taken, given = boundaries(models.network, precision)[stage_id]
    return Part(models.stage_model(stage_id), (taken,), (given,))


def segment_part(models: PreparedModels, segment: Segment, precision: Precision) -> Part:
    """The stages of a segment as one graph."""
    from onnx import TensorProto, helper

    network = models.network
    inputs, outputs = segment_boundaries(network, segment, precision)
    model = compose(network, models.stages, segment_inputs(segment))
    first = (*segment.stages, segment.head)[0]
    declared = {value.name: value for value in model.graph.output}
    del model.graph.output[:], model.graph.input[:]
    model.graph.output.extend(declared[boundary.name] for boundary in outputs)
    element = models.stages[first].graph.input[0].type.tensor_type.elem_type
    assert element in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8)
    model.graph.input.append(helper.make_tensor_value_info(IMAGE, element, inputs[0].shape))
    return Part(model, inputs, outputs)


def whole_part(model: onnx.ModelProto) -> Part:
    """A graph as it is, everything at its boundaries LINEAR."""
    inputs, outputs = (tuple(map(_stated, side)) for side in (model.graph.input, model.graph.output))
    return Part(model, inputs, outputs)


def _stated(value: onnx.ValueInfoProto) -> Boundary:
    from onnx import helper

    tensor = value.type.tensor_type
    element = str(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    shape = tuple(dimension.dim_value for dimension in tensor.shape.dim)
    return Boundary(value.name, shape, cast(ElementType, element))


def _boundary(spec: TensorSpec, precision: Precision) -> Boundary:
    return Boundary(spec.name, spec.shape, _FEATURES[precision], _layout(spec.shape, precision))


def _layout(shape: tuple[int, ...], precision: Precision) -> Layout:
    """How kernels of a precision want features, so that no engine begins or ends by moving them."""
    if len(shape) != 4 or precision == "fp32":
        return "LINEAR"
    if precision == "fp16":
        return "HWC8" if shape[1] % 8 == 0 else "LINEAR"
    # Vectors of 32 would be half empty below.
    return "CHW32" if shape[1] % 32 == 0 else "CHW4"


def _renamed(boundary: Boundary, name: str) -> Boundary:
    return Boundary(name, boundary.shape, boundary.element, boundary.layout)
