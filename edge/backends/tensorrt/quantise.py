"""A network's stages as int8, written into their ONNX graphs as TensorRT wants it: explicit and symmetric.

Activations are int8 with one scale a tensor, weights int8 with a scale per output channel, biases float32 (TensorRT
refuses int32 ones in the graph).  The output of a convolution that only goes into an addition is not rounded, since the
builder computes both at once.  Stages pass each other int8 tensors; which scale such a tensor has cannot depend on the
route, so all that may stand at one place share one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.backends.activations import Range, RangeError
from edge.backends.int8 import WEIGHTED, float_ends, int8_tensors, network_ranges, to_int8, transposes
from edge.network import Network

if TYPE_CHECKING:
    import onnx

_LARGEST = 127


def quantised(network: Network, stages: Mapping[str, onnx.ModelProto]) -> dict[str, onnx.ModelProto]:
    """The stages as int8: int8 in and out, but the image and the scores, which stay float32.

    Raises:
        RangeError: a stage states no ranges, or two that meet state different ones.
    """
    ranges = network_ranges(network, stages)
    ends = float_ends(network)
    return {stage: _Stage(model, ranges[stage], stage).quantised(*ends[stage]) for stage, model in stages.items()}


def rounded_tensors(model: onnx.ModelProto, image: bool, scores: bool) -> dict[str, str]:
    """The tensors of a stage that are rounded to int8, each with the one whose range it has: itself, mostly."""
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[str]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
    boundary = {graph.input[0].name, graph.output[0].name}

    def summed_up(name: str) -> bool:
        """Whether a convolution gives it and one addition is all that reads it."""
        return name in producers and producers[name].op_type in WEIGHTED and readers.get(name) == ["Add"]

    def wanted(name: str) -> bool:
        return name in boundary or (name in readers and not summed_up(name))

    return {name: source for name, source in int8_tensors(model, image, scores).items() if wanted(name)}


class _Stage:
    """One stage while its graph is rewritten."""

    def __init__(self, model: onnx.ModelProto, ranges: Mapping[str, Range], stage_id: str) -> None:
        from onnx import ModelProto, numpy_helper

        self._model = ModelProto()
        self._model.CopyFrom(model)
        self._arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self._ranges, self._id = ranges, stage_id
        self._nodes: list[onnx.NodeProto] = []

    def quantised(self, image: bool, scores: bool) -> onnx.ModelProto:
        from onnx import TensorProto, numpy_helper

        graph = self._model.graph
        tensors = rounded_tensors(self._model, image, scores)
        constants = {name: self._scale(name, source) for name, source in tensors.items()}
        taken, given = graph.input[0].name, graph.output[0].name
        weights = set(self._arrays)

        def inside(name: str) -> str:
            """What a tensor is called where it is float: the stage's own output is the rounded one."""
            return f"{name}/float" if name == given and name in tensors else name

        if taken in tensors:
            self._add("DequantizeLinear", [taken, *constants[taken]], f"{taken}/rounded")
        for node in graph.node:
            copy = type(node)()
            copy.CopyFrom(node)
            copy.input[:] = [f"{name}/rounded" if name in tensors else name for name in node.input]
            copy.output[:] = [inside(name) for name in node.output]
            if node.op_type in WEIGHTED and node.input[0] in tensors and node.input[1] in weights:
                self._weigh(copy)
            self._nodes.append(copy)
            for name in node.output:
                if name in tensors:
                    rounded = name if name == given else f"{name}/int8"
                    self._add("QuantizeLinear", [inside(name), *constants[name]], rounded)
                    self._add("DequantizeLinear", [rounded, *constants[name]], f"{name}/rounded")
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self._read_nodes(given))
        read = {name for node in graph.node for name in node.input}
        graph.initializer.extend(
            numpy_helper.from_array(array, name) for name, array in self._arrays.items() if name in read
        )
        for value in (graph.input[0], graph.output[0]):
            if value.name in tensors:
                value.type.tensor_type.elem_type = TensorProto.INT8
        return self._model

    def _scale(self, tensor: str, source: str) -> tuple[str, str]:
        """The names of a tensor's scale and of the zero."""
        if source not in self._ranges:
            raise RangeError(f"stage {self._id} states no range of {source}: calibrate the bundle again")
        low, high = self._ranges[source]
        names = f"{tensor}/scale", f"{tensor}/zero"
        self._arrays[names[0]] = np.asarray(max(-low, high) / _LARGEST, np.float32)
        self._arrays[names[1]] = np.asarray(0, np.int8)
        return names

    def _weigh(self, node: onnx.NodeProto) -> None:
        """Put the int8 weights in the place of the float ones."""
        name = node.input[1]
        axis = int(node.op_type == "Gemm" and not transposes(node))
        rounded, scale = to_int8(self._arrays[name], axis)
        parts: dict[str, NDArray[Any]] = {
            f"{name}/int8": rounded,
            f"{name}/scale": scale,
            f"{name}/zero": np.zeros(scale.shape, np.int8),
        }
        self._arrays.update(parts)
        self._add("DequantizeLinear", list(parts), f"{name}/rounded", axis=axis)
        node.input[1] = f"{name}/rounded"

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))

    def _read_nodes(self, given: str) -> list[onnx.NodeProto]:
        """The operators whose output is read, or is the stage's."""
        read = {given, *(name for node in self._nodes for name in node.input)}
        return [node for node in self._nodes if read & set(node.output)]
