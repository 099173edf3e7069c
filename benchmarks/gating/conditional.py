"""All routes in one ONNX graph: an `If` for every gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.gating.turns import Image, Run, Scores
from edge.backends.compose import IMAGE, compose
from edge.backends.models import StageModels
from edge.backends.onnxruntime.calls import Call
from edge.backends.onnxruntime.process import Process
from edge.network import Network, Route

if TYPE_CHECKING:
    import onnx


def gate_input(gate: int) -> str:
    """The graph's boolean input, shape (1,), that keeps a block."""
    return f"/gate/{gate}"


def conditional_model(models: StageModels) -> onnx.ModelProto:
    """The network to its last exit; inputs are the image and one boolean per gate, the output its scores.

    A block and its bypass are the branches of an `If` and hold their own weights: those of the outer graph would not be
    brought into the layout that convolutions want.
    """
    from onnx import TensorProto, helper

    network = models.network
    stages = {stage: models.stage_model(stage) for stage in network.stages}
    gate_of = {gate.block: index for index, gate in enumerate(network.gates)}
    last_exit = network.exits[-1]
    first, *rest = (*network.order, last_exit.head)
    graph = compose(network, stages, {first: IMAGE})
    del graph.graph.output[:]
    features = first
    for stage in rest:
        if stage not in gate_of:
            part = _joined(network, stages, stage, features).graph
            graph.graph.node.extend(part.node)
            graph.graph.initializer.extend(part.initializer)
            features = stage
            continue
        index = gate_of[stage]
        kept = _joined(network, stages, stage, features).graph
        dropped = _dropped(network, stages, network.gates[index].bypass, features)
        features = f"/if/{index}"
        gate = gate_input(index)
        graph.graph.node.append(helper.make_node("If", [gate], [features], then_branch=kept, else_branch=dropped))
        graph.graph.input.append(helper.make_tensor_value_info(gate, TensorProto.BOOL, (1,)))
    shape = network.stages[features].output.shape
    graph.graph.output.append(helper.make_tensor_value_info(features, TensorProto.FLOAT, shape))
    return graph


def _joined(network: Network, stages: Mapping[str, onnx.ModelProto], stage: str, features: str) -> onnx.ModelProto:
    """A stage alone that takes its input from the graph around it."""
    model = compose(network, stages, {stage: features})
    del model.graph.input[:]
    return model


def _dropped(
    network: Network, stages: Mapping[str, onnx.ModelProto], bypass: str | None, features: str
) -> onnx.GraphProto:
    from onnx import TensorProto, helper

    if bypass is not None:
        return _joined(network, stages, bypass, features).graph
    output = f"/same/{features}"
    identity = helper.make_node("Identity", [features], [output])
    return helper.make_graph(
        [identity], "dropped", [], [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
    )


class ConditionalNetwork:
    """The graph in one session, for all routes."""

    def __init__(self, models: StageModels, process: Process) -> None:
        model = conditional_model(models)
        options = process.options(optimise=True)
        self._call = _GatedCall(process, process.session(model.SerializeToString(), options), len(models.network.gates))

    def run(self, route: Route) -> Run:
        """The session with the gates of a route, which are bound anew for every frame as they would be in life."""
        return self._call.run_of(route)


class _GatedCall(Call):
    """A call whose gates are inputs too."""

    __slots__ = ("_arrays", "_bits", "_gates")

    def __init__(self, process: Process, session: object, gates: int) -> None:
        super().__init__(process.ort, session)
        self._gates = [gate_input(index) for index in range(gates)]
        # ONNX Runtime keeps neither alive.
        self._arrays = [np.array([bit]) for bit in (False, True)]
        self._bits = {
            bit: process.ort.OrtValue.ortvalue_from_numpy(array) for bit, array in zip("01", self._arrays, strict=True)
        }

    def run_of(self, route: Route) -> Run:
        def run(image: Image) -> Scores:
            for gate, bit in zip(self._gates, route, strict=True):
                self._binding.bind_ortvalue_input(gate, self._bits[bit])
            self.run(image)
            scores: Scores = self.outputs[0].array[0].copy()
            return scores

        return run
