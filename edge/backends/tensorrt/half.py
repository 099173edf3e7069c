"""A stage in fp16, written into its ONNX graph, as strongly typed networks want it.

What lies before the first weighted operator (the normalisation of the image) and behind the last (the sigmoid of a
policy, whose bounds must hold) stays float32, and so do image, scores and probabilities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.backends.base import BackendError

if TYPE_CHECKING:
    import onnx

_WEIGHTED = ("Conv", "Gemm", "MatMul", "ConvTranspose")
# The largest that fp16 can hold.
_LARGEST = 65504.0


def in_half(model: onnx.ModelProto, stage_id: str, image: bool, scores: bool) -> onnx.ModelProto:
    """The stage with fp16 features in and out; with `image` its input stays float32, with `scores` its output.

    Raises:
        BackendError: a weight is too large for fp16.
    """
    return _Stage(model, stage_id).halved(image, scores)


def half_nodes(model: onnx.ModelProto, image: bool, scores: bool) -> list[bool]:
    """For every operator whether it computes in fp16: weighted, or between what is."""
    nodes = model.graph.node
    weighted = [node.op_type in _WEIGHTED for node in nodes]
    behind = set() if image else {model.graph.input[0].name}
    before = set() if scores else {model.graph.output[0].name}
    after, ahead = [False] * len(nodes), [False] * len(nodes)
    for index, node in enumerate(nodes):
        after[index] = weighted[index] or bool(behind & set(node.input))
        behind |= set(node.output) if after[index] else set()
    for index in reversed(range(len(nodes))):
        ahead[index] = weighted[index] or bool(before & set(nodes[index].output))
        before |= set(nodes[index].input) if ahead[index] else set()
    return [both[0] and both[1] for both in zip(after, ahead, strict=True)]


class _Stage:
    """One stage while its graph is rewritten."""

    def __init__(self, model: onnx.ModelProto, stage_id: str) -> None:
        from onnx import ModelProto, TensorProto

        self._model = ModelProto()
        self._model.CopyFrom(model)
        self._id = stage_id
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._float, self._half = TensorProto.FLOAT, TensorProto.FLOAT16
        # The type of every tensor that operators give, and the names of those that were converted, with their types.
        self._types: dict[str, int] = {}
        self._converted: dict[tuple[str, int], str] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}

    def halved(self, image: bool, scores: bool) -> onnx.ModelProto:
        graph = self._model.graph
        taken, given = graph.input[0], graph.output[0]
        self._types[taken.name] = self._float if image else self._half
        halves = half_nodes(self._model, image, scores)
        for node, half in zip(list(graph.node), halves, strict=True):
            wanted = self._half if half else self._float
            copy = type(node)()
            copy.CopyFrom(node)
            copy.input[:] = [self._as(name, wanted) for name in node.input]
            self._nodes.append(copy)
            self._types.update(dict.fromkeys(node.output, wanted))
        self._give(given.name, self._float if scores else self._half)
        taken.type.tensor_type.elem_type = self._types[taken.name]
        given.type.tensor_type.elem_type = self._float if scores else self._half
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend(self._initializers.values())
        return self._model

    def _as(self, name: str, wanted: int) -> str:
        """The name of a tensor in the type wanted, which is made where it is not there yet."""
        if name in self._weights:
            return self._weight(name, wanted)
        if name == "" or self._types[name] == wanted:
            return name
        if (name, wanted) not in self._converted:
            self._converted[name, wanted] = f"{name}/{'half' if wanted == self._half else 'float'}"
            self._cast(name, self._converted[name, wanted], wanted)
        return self._converted[name, wanted]

    def _weight(self, name: str, wanted: int) -> str:
        from onnx import numpy_helper

        tensor = self._weights[name]
        if tensor.data_type != self._float or wanted == self._float:
            self._initializers[name] = tensor
            return name
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max(initial=0) > _LARGEST:
            raise BackendError(f"stage {self._id} cannot run in fp16: its weight {name} holds more than 65504")
        halved = f"{name}/half"
        self._initializers[halved] = numpy_helper.from_array(values.astype(np.float16), halved)
        return halved

    def _give(self, output: str, wanted: int) -> None:
        """Let the graph's output have the type wanted."""
        if self._types[output] == wanted:
            return
        inside = f"{output}/{'float' if wanted == self._half else 'half'}"
        for node in self._nodes:
            node.output[:] = [inside if name == output else name for name in node.output]
            node.input[:] = [inside if name == output else name for name in node.input]
        self._cast(inside, output, wanted)

    def _cast(self, source: str, target: str, wanted: int) -> None:
        from onnx import helper

        self._nodes.append(helper.make_node("Cast", [source], [target], to=wanted))
