"""A bundle's stages as torch modules, for what torch makes of a gated network (needs torch)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper
from torch import Tensor, nn

from edge.backends.models import StageModels
from edge.network import Network, Route

if TYPE_CHECKING:
    import onnx

Operator = Callable[..., Tensor]


class UnknownOperatorError(Exception):
    """A stage holds an operator that is not translated."""


class TorchStage(nn.Module):
    """One stage: the operators of its ONNX graph, in order."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        super().__init__()
        self._names: dict[str, str] = {}
        for number, tensor in enumerate(graph.initializer):
            self._names[tensor.name] = f"weight{number}"
            self.register_buffer(f"weight{number}", torch.from_numpy(np.array(numpy_helper.to_array(tensor))))
        self._input, self._output = graph.input[0].name, graph.output[0].name
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._steps = [_step(node, constants) for node in graph.node]

    def forward(self, x: Tensor) -> Tensor:
        values = {self._input: x}
        for operator, inputs, output in self._steps:
            operands = [values[name] if name in values else getattr(self, self._names[name]) for name in inputs]
            values[output] = operator(*operands)
        return values[self._output]


class TorchNetwork(nn.Module):
    """The network to its last exit; a dropped block is not run, as anyone would write it."""

    def __init__(self, models: StageModels) -> None:
        super().__init__()
        self._network: Network = models.network
        self._stages = {stage: TorchStage(models.stage_model(stage).graph) for stage in self._network.stages}
        for stage, module in self._stages.items():
            self.add_module(stage, module)

    def forward(self, x: Tensor, route: Route) -> Tensor:
        """Scores (1, classes) of an image (1, 3, h, w)."""
        segment = self._network.segment(route, 0, len(self._network.exits) - 1)
        for stage in (*segment.stages, segment.head):
            x = self._stages[stage](x)
        return x


def _step(node: onnx.NodeProto, constants: Mapping[str, np.ndarray]) -> tuple[Operator, list[str], str]:
    """(operator, names of its operands, name of its result)."""
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    inputs = list(node.input)
    if node.op_type == "ReduceMean" and len(inputs) == 2:
        # The axes are known now, and torch wants them as numbers.
        attributes["axes"] = constants[inputs.pop()].tolist()
    make = _OPERATORS.get(node.op_type)
    if make is None:
        raise UnknownOperatorError(f"{node.op_type} has no translation to torch here")
    return make(attributes), inputs, node.output[0]


def _convolution(attributes: Mapping[str, Any]) -> Operator:
    stride, padding = _window(attributes)
    groups = attributes.get("group", 1)
    return lambda x, weight, bias=None: F.conv2d(x, weight, bias, stride, padding, groups=groups)


def _max_pool(attributes: Mapping[str, list[int]]) -> Operator:
    stride, padding = _window(attributes)
    return lambda x: F.max_pool2d(x, tuple(attributes["kernel_shape"]), stride, padding)


def _average_pool(attributes: Mapping[str, list[int]]) -> Operator:
    stride, padding = _window(attributes)
    return lambda x: F.avg_pool2d(x, tuple(attributes["kernel_shape"]), stride, padding)


def _window(attributes: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    pads = tuple(attributes.get("pads", (0, 0, 0, 0)))
    if pads[:2] != pads[2:] or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise UnknownOperatorError("padding that differs between two sides has no translation to torch here")
    return tuple(attributes.get("strides", (1, 1))), pads[:2]


def _reduce_mean(attributes: Mapping[str, list[int]]) -> Operator:
    return lambda x: x.mean(attributes["axes"], keepdim=bool(attributes.get("keepdims", 1)))


def _linear(attributes: Mapping[str, int]) -> Operator:
    if attributes.get("transA") or not attributes.get("transB"):
        raise UnknownOperatorError("Gemm of another form than a linear layer has no translation to torch here")
    return F.linear


_OPERATORS: dict[str, Callable[..., Operator]] = {
    "Add": lambda attributes: torch.add,
    "AveragePool": _average_pool,
    "Conv": _convolution,
    "Div": lambda attributes: torch.div,
    "Flatten": lambda attributes: lambda x: torch.flatten(x, 1),
    "Gemm": _linear,
    "GlobalAveragePool": lambda attributes: lambda x: x.mean((2, 3), keepdim=True),
    "MaxPool": _max_pool,
    "Mul": lambda attributes: torch.mul,
    "ReduceMean": _reduce_mean,
    "Relu": lambda attributes: torch.relu,
    "Sigmoid": lambda attributes: torch.sigmoid,
    "Sub": lambda attributes: torch.sub,
}
