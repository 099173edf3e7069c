"""A gated ResNet18 for 224 px and 1000 classes, with random weights, built without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, Controllers, Manifest, Provenance, Task, write_bundle
from edge.network import Exit, Gate, Network, Stage, StageKind, TensorSpec

if TYPE_CHECKING:
    import onnx

_WIDTHS = (64, 64, 128, 128, 256, 256, 512, 512)
_CLASSES = 1000
_OPSET = 20


def write_imagenet_bundle(folder: Path, size: int = 224, seed: int = 0) -> Bundle:
    """The network of He et al. 2016, table 1, with a gate at each of its 8 blocks and a small policy.

    Batch norms are folded into the convolutions, as an exporter would.
    """
    generator = np.random.default_rng(seed)
    image = (1, 3, size, size)
    parts: dict[str, tuple[StageKind, _Chain]] = {"stem": ("stem", _stem(image, generator))}
    gates, order = [], ["stem"]
    for index, width in enumerate(_WIDTHS):
        block, bypass = f"block{index}", None
        shape = parts[order[-1]][1].shape
        parts[block] = ("block", _block(shape, width, generator))
        if width != shape[1]:
            # The block's own projection, as in the trained network; its weights do not matter here.
            bypass = f"bypass{index}"
            parts[bypass] = ("bypass", _Chain(shape, generator).convolution(width, 1, 2).node("Relu"))
        gates.append(Gate(block, bypass))
        order.append(block)
    features = parts[order[-1]][1].shape
    parts["head"] = ("head", _Chain(features, generator).node("GlobalAveragePool").node("Flatten").linear(_CLASSES))
    parts["policy"] = ("policy", _policy(image, len(gates), generator))
    written = {stage_id: chain.stage(stage_id, kind) for stage_id, (kind, chain) in parts.items()}
    network = Network(
        stages={stage_id: stage for stage_id, (stage, _) in written.items()},
        order=tuple(order),
        gates=tuple(gates),
        exits=(Exit(order[-1], "head"),),
        policy="policy",
    )
    manifest = Manifest(
        name="resnet18-224-random",
        task=Task("none", tuple(f"class {index}" for index in range(_CLASSES))),
        input_shape=image,
        network=network,
        controllers=Controllers("gusodrop"),
        measured=None,
        provenance=Provenance("benchmarks.gating", seed, {}, {}),
    )
    return write_bundle(folder, manifest, {stage_id: model for stage_id, (_, model) in written.items()})


def _stem(image: tuple[int, ...], generator: np.random.Generator) -> _Chain:
    chain = _normalised(image, generator).convolution(64, 7, 2).node("Relu")
    chain.node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    return chain.shaped(64, 2)


def _block(shape: tuple[int, ...], width: int, generator: np.random.Generator) -> _Chain:
    stride = 1 if width == shape[1] else 2
    chain = _Chain(shape, generator)
    shortcut = chain.end
    if stride == 2:
        shortcut = chain.convolution(width, 1, 2).end
        chain.restart()
    chain.convolution(width, 3, stride).node("Relu").convolution(width, 3, 1)
    return chain.node("Add", shortcut).node("Relu")


def _policy(image: tuple[int, ...], gates: int, generator: np.random.Generator) -> _Chain:
    chain = _normalised(image, generator).node("AveragePool", kernel_shape=[8, 8], strides=[8, 8]).shaped(3, 8)
    chain.convolution(16, 3, 2).node("Relu").node("GlobalAveragePool").node("Flatten")
    return chain.linear(gates).node("Sigmoid")


def _normalised(image: tuple[int, ...], generator: np.random.Generator) -> _Chain:
    chain = _Chain(image, generator)
    mean, deviation = (np.full((1, 3, 1, 1), value) for value in (0.45, 0.225))
    return chain.node("Sub", chain.constant(mean)).node("Div", chain.constant(deviation))


class _Chain:
    """A stage under construction: nodes one after the other from "x" to `end`, a tensor of shape `shape`."""

    def __init__(self, shape: tuple[int, ...], generator: np.random.Generator) -> None:
        self._input_shape = self.shape = shape
        self._generator = generator
        self.end = "x"
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._macs = self._parameters = 0

    def restart(self) -> None:
        """Go on from the input: the start of a parallel path."""
        self.end, self.shape = "x", self._input_shape

    def shaped(self, channels: int, stride: int) -> _Chain:
        """State the shape behind a node that strides."""
        _, _, height, width = self.shape
        self.shape = (1, channels, -(-height // stride), -(-width // stride))
        return self

    def node(self, operator: str, *others: str, **attributes: Any) -> _Chain:
        from onnx import helper

        end = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, [self.end, *others], [end], **attributes))
        self.end = end
        return self

    def constant(self, values: NDArray[np.float64]) -> str:
        from onnx import numpy_helper

        name = f"w{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def convolution(self, channels: int, kernel: int, stride: int) -> _Chain:
        inputs = self.shape[1] * kernel * kernel
        # Residual paths add up: smaller than He's deviation, so that 8 of them stay within range.
        weight = self._parameter((channels, self.shape[1], kernel, kernel), inputs**-0.5)
        self.node("Conv", weight, self._parameter((channels,), 0.1), **_window(kernel, stride))
        self.shaped(channels, stride)
        self._macs += inputs * int(np.prod(self.shape))
        return self

    def linear(self, outputs: int) -> _Chain:
        features = self.shape[1]
        weight = self._parameter((outputs, features), features**-0.5)
        self.node("Gemm", weight, self._parameter((outputs,), 0.1), transB=1)
        self.shape = (1, outputs)
        self._macs += features * outputs
        return self

    def stage(self, stage_id: str, kind: StageKind) -> tuple[Stage, onnx.ModelProto]:
        """The stage, and its model with input "x" and output "y"."""
        from onnx import TensorProto, helper

        self._nodes[-1].output[0] = "y"
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("x", self._input_shape), ("y", self.shape))
        ]
        graph = helper.make_graph(self._nodes, stage_id, ends[:1], ends[1:], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)
        specs = TensorSpec("x", self._input_shape), TensorSpec("y", self.shape)
        # The digest is filled in when the bundle is written.
        return Stage(stage_id, kind, f"{stage_id}.onnx", *specs, self._macs, self._parameters, "0" * 64), model

    def _parameter(self, shape: tuple[int, ...], deviation: float) -> str:
        values = self._generator.normal(0, deviation, shape)
        self._parameters += values.size
        return self.constant(values)


def _window(kernel: int, stride: int) -> dict[str, list[int]]:
    return {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
