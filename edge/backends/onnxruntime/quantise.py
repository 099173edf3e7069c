"""A network's stages as int8: weights signed and per channel, activations unsigned, as QuantizeLinear/DequantizeLinear.

Stages pass each other uint8 tensors instead of float ones, with the channels last, as the int8 kernels want them: the
conversions at both sides of a boundary then vanish, whether stages are optimised together or apart.  Which scale such a
tensor has cannot depend on the route, so all that may stand at one place (a block's output, its bypass's, and where it
has none its input) share one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.backends.activations import Range, RangeError
from edge.backends.int8 import WEIGHTED, float_ends, in_int8, int8_tensors, network_ranges, to_int8, transposes
from edge.network import Network

if TYPE_CHECKING:
    import onnx

# Channels first to channels last and back, by the tensor's rank.
_TO_LAST = {4: [0, 2, 3, 1]}
_FROM_LAST = {4: [0, 3, 1, 2]}


class _Scale(NamedTuple):
    scale: NDArray[np.float32]
    zero_point: NDArray[np.uint8]


def quantised(network: Network, stages: Mapping[str, onnx.ModelProto]) -> dict[str, onnx.ModelProto]:
    """The stages as int8: uint8 in and out, but the image and the scores, which stay float32.

    Raises:
        RangeError: a stage states no ranges, or two that meet state different ones.
    """
    ranges = network_ranges(network, stages)
    ends = float_ends(network)
    return {stage: _Stage(model, ranges[stage], stage).quantised(*ends[stage]) for stage, model in stages.items()}


class _Stage:
    """One stage while its graph is rewritten."""

    def __init__(self, model: onnx.ModelProto, ranges: Mapping[str, Range], stage_id: str) -> None:
        from onnx import ModelProto, numpy_helper

        self._model = ModelProto()
        self._model.CopyFrom(model)
        self._arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self._ranges, self._id = ranges, stage_id
        self._scales: dict[str, _Scale] = {}
        self._nodes: list[onnx.NodeProto] = []

    def quantised(self, image: bool, scores: bool) -> onnx.ModelProto:
        from onnx import TensorProto, numpy_helper

        graph = self._model.graph
        tensors = int8_tensors(self._model, image, scores)
        self._scales = {name: self._scale(source) for name, source in tensors.items()}
        weights = set(self._arrays)
        taken, given = graph.input[0], graph.output[0]
        renamed = {given.name: f"{given.name}/float"} if given.name in tensors else {}
        as_uint8 = {name: f"{name}/uint8" for name in tensors}
        if taken.name in tensors:
            self._turn(taken.name, as_uint8[taken.name], _rank(taken), _FROM_LAST)
        for node in graph.node:
            copy = type(node)()
            copy.CopyFrom(node)
            computes_in_int8 = in_int8(node, weights)
            copy.input[:] = [
                self._dequantised(as_uint8[name], name, len(self._nodes)) if name in tensors else name
                for name in node.input
            ]
            if computes_in_int8 and node.op_type in WEIGHTED:
                self._weigh(copy, node.input[0])
            copy.output[:] = [renamed.get(name, name) for name in node.output]
            self._nodes.append(copy)
            for name in node.output:
                if name in tensors:
                    self._add("QuantizeLinear", [renamed.get(name, name), *self._constants(name)], as_uint8[name])
        if given.name in tensors:
            self._turn(as_uint8[given.name], given.name, _rank(given), _TO_LAST)
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self._nodes)
        read = {name for node in self._nodes for name in node.input}
        graph.initializer.extend(
            numpy_helper.from_array(array, name) for name, array in self._arrays.items() if name in read
        )
        for value in (taken, given):
            if value.name in tensors:
                value.type.tensor_type.elem_type = TensorProto.UINT8
                shape = value.type.tensor_type.shape
                sizes = [dimension.dim_value for dimension in shape.dim]
                for dimension, size in zip(shape.dim, _channels_last(sizes), strict=True):
                    dimension.dim_value = size
        return self._model

    def _scale(self, tensor: str) -> _Scale:
        if tensor not in self._ranges:
            raise RangeError(f"stage {self._id} states no range of {tensor}: calibrate the bundle again")
        low, high = self._ranges[tensor]
        scale = np.float32((high - low) / 255)
        return _Scale(np.asarray(scale), np.asarray(np.clip(np.rint(-low / scale), 0, 255), np.uint8))

    def _turn(self, uint8: str, turned: str, rank: int, permutations: Mapping[int, list[int]]) -> None:
        """Move the channels of an image; anything flatter is passed on as it is."""
        if rank in permutations:
            self._add("Transpose", [uint8], turned, perm=permutations[rank])
        else:
            self._add("Identity", [uint8], turned)

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))

    def _constants(self, tensor: str) -> list[str]:
        """The names of a tensor's scale and zero point."""
        names = [f"{tensor}/scale", f"{tensor}/zero_point"]
        self._arrays.update(zip(names, self._scales[tensor], strict=True))
        return names

    def _dequantised(self, uint8: str, tensor: str, reader: int) -> str:
        # One for each reader: ONNX Runtime joins an operator only with a conversion that nobody else reads.
        output = f"{tensor}/{reader}"
        self._add("DequantizeLinear", [uint8, *self._constants(tensor)], output)
        return output

    def _weigh(self, node: onnx.NodeProto, activation: str) -> None:
        """Put the int8 weights, and the int32 bias, in the place of the float ones."""
        weight = self._arrays[node.input[1]]
        axis = int(node.op_type == "Gemm" and not transposes(node))
        rounded, scale = to_int8(weight, axis)
        name = node.input[1]
        node.input[1] = self._constant_dequantised(name, rounded, scale, axis)
        if len(node.input) > 2:
            product = np.asarray(scale * self._scales[activation].scale, np.float32)
            bias = np.rint(self._arrays[node.input[2]].astype(np.float64) / product)
            limit = np.iinfo(np.int32).max
            node.input[2] = self._constant_dequantised(
                node.input[2], np.clip(bias, -limit, limit).astype(np.int32), product, 0
            )

    def _constant_dequantised(
        self, name: str, rounded: NDArray[np.generic], scale: NDArray[np.float32], axis: int
    ) -> str:
        zero_point = np.zeros(scale.shape, rounded.dtype)
        parts = {f"{name}/int": rounded, f"{name}/scale": scale, f"{name}/zero_point": zero_point}
        self._arrays.update(parts)
        self._add("DequantizeLinear", list(parts), f"{name}/float", axis=axis)
        return f"{name}/float"


def _rank(value: onnx.ValueInfoProto) -> int:
    return len(value.type.tensor_type.shape.dim)


def _channels_last(sizes: list[int]) -> list[int]:
    return [sizes[axis] for axis in _TO_LAST.get(len(sizes), range(len(sizes)))]
