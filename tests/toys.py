"""Toy bundles: small ResNet-like networks with random weights, built without torch.

Every stage calls its input "x", its output "y" and its weights alike, so that whoever joins stages must keep them
apart.  Weights are drawn so that every route and exit gives visibly different scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.bundle import Accuracy, Controllers, Manifest, Measured, Provenance, Task, write_bundle
from edge.bundle.narrow import narrow
from edge.network import Exit, Gate, Network, Stage, StageKind, TensorSpec

OPSET = 20

# Made up: no toy was ever trained.
MEASURED = Measured(Accuracy(0.97, 0.96, 0.98), "toy test", 1000, 5, "2026-01-31", {"rendered": {"accuracy": 0.9}})


def gated_bundle(
    folder: Path,
    blocks: int = 4,
    channels: int = 16,
    classes: int = 43,
    size: int = 32,
    seed: int = 0,
    policy: bool = True,
    narrowed: bool = False,
) -> Path:
    """A network with a gate at every block and one exit; returns the folder."""
    toy = _Toy(blocks, channels, classes, size, seed)
    return toy.write(folder, "toy-gated", gated=True, policy=policy, exits=1, narrowed=narrowed)


def exit_bundle(
    folder: Path,
    blocks: int = 4,
    channels: int = 16,
    classes: int = 43,
    size: int = 32,
    seed: int = 0,
    exits: int = 3,
    narrowed: bool = False,
    data_set: str = "toy",
    name: str = "toy-exits",
) -> Path:
    """A network without gates and with several exits, the last behind the last block; returns the folder."""
    toy = _Toy(blocks, channels, classes, size, seed)
    return toy.write(folder, name, gated=False, policy=False, exits=exits, narrowed=narrowed, data_set=data_set)


def both_bundle(
    folder: Path,
    blocks: int = 4,
    channels: int = 16,
    classes: int = 43,
    size: int = 32,
    seed: int = 0,
    exits: int = 3,
    narrowed: bool = False,
) -> Path:
    """A network with gates, policy and several exits; returns the folder."""
    toy = _Toy(blocks, channels, classes, size, seed)
    return toy.write(folder, "toy-both", gated=True, policy=True, exits=exits, narrowed=narrowed)


def decided_bundle(
    folder: Path,
    blocks: int = 4,
    channels: int = 16,
    classes: int = 43,
    size: int = 32,
    seed: int = 0,
    exits: int = 2,
) -> Path:
    """A network with a gate network at every block but the first, and several exits; returns the folder."""
    toy = _Toy(blocks, channels, classes, size, seed)
    return toy.write(folder, "toy-decided", gated=True, policy=False, exits=exits, narrowed=False, decisions=True)


def image(seed: int = 0, size: int = 32) -> np.ndarray:
    """A random image as the runtime takes it, (1, 3, size, size) float32 in [0, 1]."""
    return np.random.default_rng(seed).random((1, 3, size, size), np.float32)


class _Graph:
    """One stage under construction: a chain of nodes whose current end is `end`, of shape `shape`."""

    def __init__(self, shape: tuple[int, ...], generator: np.random.Generator) -> None:
        self.input_shape = self.shape = shape
        self.generator = generator
        self.end = "x"
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.macs = self.parameters = 0

    def node(self, op_type: str, *others: str, **attributes: Any) -> None:
        end = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, [self.end, *others], [end], **attributes))
        self.end = end

    def constant(self, values: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(values, np.float32), f"w{len(self.weights)}"))
        return self.weights[-1].name

    def parameter(self, *shape: int, deviation: float) -> str:
        self.parameters += int(np.prod(shape))
        return self.constant(self.generator.normal(0, deviation, shape))

    def normalise(self) -> None:
        self.node("Sub", self.constant(np.full((1, 3, 1, 1), 0.5)))
        self.node("Div", self.constant(np.full((1, 3, 1, 1), 0.25)))

    def convolve(self, channels: int, kernel: int, stride: int = 1, gain: float = 1.0) -> None:
        _, before, height, width = self.shape
        weight = self.parameter(
            channels, before, kernel, kernel, deviation=gain * (2 / (before * kernel * kernel)) ** 0.5
        )
        bias = self.parameter(channels, deviation=0.1)
        self.node("Conv", weight, bias, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4)
        self.shape = (1, channels, -(-height // stride), -(-width // stride))
        self.macs += int(np.prod(self.shape)) * before * kernel * kernel

    def classify(self, outputs: int, deviation: float) -> None:
        features = self.shape[1]
        self.node("GlobalAveragePool")
        self.node("Flatten")
        weight = self.parameter(outputs, features, deviation=deviation / features**0.5)
        self.node("Gemm", weight, self.parameter(outputs, deviation=0.1), transB=1)
        self.shape = (1, outputs)
        self.macs += features * outputs

    def stage(self, stage_id: str, kind: StageKind) -> tuple[Stage, onnx.ModelProto]:
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(
            self.nodes,
            stage_id,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.input_shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, self.shape)],
            self.weights,
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
        # The digest is filled in when the bundle is written.
        specs = TensorSpec("x", self.input_shape), TensorSpec("y", self.shape)
        return Stage(stage_id, kind, f"{stage_id}.onnx", *specs, self.macs, self.parameters, "0" * 64), model


class _Toy:
    def __init__(self, blocks: int, channels: int, classes: int, size: int, seed: int) -> None:
        self.blocks, self.channels, self.classes = blocks, channels, classes
        self.image_shape = (1, 3, size, size)
        self.generator = np.random.default_rng(seed)
        self.stages: dict[str, Stage] = {}
        self.models: dict[str, onnx.ModelProto] = {}

    def write(
        self,
        folder: Path,
        name: str,
        *,
        gated: bool,
        policy: bool,
        exits: int,
        narrowed: bool,
        decisions: bool = False,
        data_set: str = "toy",
    ) -> Path:
        order = ["stem"]
        self._add("stem", "stem", self._stem())
        gates = []
        for index in range(self.blocks):
            block, bypass, decision = f"block{index}", None, None
            shape = self.stages[order[-1]].output.shape
            strided = index == self.blocks // 2
            channels = shape[1] * 2 if strided else shape[1]
            projection = _Graph(shape, self.generator)
            if strided:
                projection.convolve(channels, 1, 2, gain=0.7)
            self._add(block, "block", self._block(shape, projection))
            if strided and gated:
                bypass = f"bypass{index}"
                projection.node("Relu")
                self._add(bypass, "bypass", projection)
            if decisions and index:
                decision = f"gate{index}"
                self._add(decision, "gate", self._decision(shape))
            gates.append(Gate(block, bypass, decision))
            order.append(block)
        # Spread evenly over the blocks, the last behind the last.
        after = [order[round(self.blocks * (index + 1) / exits)] for index in range(exits)]
        for index, stage_id in enumerate(after):
            self._add(f"head{index}", "head", self._head(self.stages[stage_id].output.shape))
        if policy:
            self._add("policy", "policy", self._policy())
        network = Network(
            stages=self.stages,
            order=tuple(order),
            gates=tuple(gates) if gated else (),
            exits=tuple(Exit(stage_id, f"head{index}") for index, stage_id in enumerate(after)),
            policy="policy" if policy else None,
        )
        manifest = Manifest(
            name=name,
            task=Task(data_set, tuple(f"class {index}" for index in range(self.classes))),
            input_shape=self.image_shape,
            network=network,
            controllers=Controllers("gusodrop" if policy else "all"),
            measured=None,
            provenance=Provenance("toys", None, {"onnx": onnx.__version__}, {}),
        )
        models = {stage_id: narrow(model) for stage_id, model in self.models.items()} if narrowed else self.models
        return write_bundle(folder, manifest, models).folder

    def _add(self, stage_id: str, kind: StageKind, graph: _Graph) -> None:
        self.stages[stage_id], self.models[stage_id] = graph.stage(stage_id, kind)

    def _stem(self) -> _Graph:
        graph = _Graph(self.image_shape, self.generator)
        graph.normalise()
        graph.convolve(self.channels, 3)
        graph.node("Relu")
        return graph

    def _block(self, shape: tuple[int, ...], projection: _Graph) -> _Graph:
        """relu(projection(x) + body(x)); an empty projection is the identity."""
        graph = _Graph(shape, self.generator)
        graph.nodes, graph.weights = list(projection.nodes), list(projection.weights)
        graph.macs, graph.parameters = projection.macs, projection.parameters
        stride = shape[2] // projection.shape[2]
        graph.convolve(projection.shape[1], 3, stride)
        graph.node("Relu")
        graph.convolve(projection.shape[1], 3, gain=0.7)
        graph.node("Add", projection.end)
        graph.node("Relu")
        return graph

    def _head(self, shape: tuple[int, ...]) -> _Graph:
        graph = _Graph(shape, self.generator)
        graph.classify(self.classes, deviation=2.0)
        return graph

    def _decision(self, shape: tuple[int, ...]) -> _Graph:
        graph = _Graph(shape, self.generator)
        graph.classify(1, deviation=4.0)
        graph.node("Sigmoid")
        return graph

    def _policy(self) -> _Graph:
        graph = _Graph(self.image_shape, self.generator)
        graph.normalise()
        graph.node("AveragePool", kernel_shape=[4, 4], strides=[4, 4])
        graph.shape = (1, 3, graph.shape[2] // 4, graph.shape[3] // 4)
        graph.convolve(8, 3, 2)
        graph.node("Relu")
        graph.classify(self.blocks, deviation=2.0)
        graph.node("Sigmoid")
        return graph
