"""A network with early exits as one ONNX graph, for other runtimes: what comes behind an exit lies in an `If`.

    scores, exit = stem .. head; sure enough? these, 0 : (blocks .. head; sure enough? these, 1 : ...)

Needs no torch: it joins the stages of a bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from edge.backends.models import StageModels
from edge.network import Route

IMAGE = "image"
OUTPUTS = ("scores", "exit", "confidence")


def nested(
    models: StageModels,
    thresholds: Sequence[float | None],
    route: Route | None = None,
    *,
    gates_as_inputs: bool = False,
) -> onnx.ModelProto:
    """The network as one model that stops where the largest softmax of an exit reaches its threshold.

    Its input is `image` (1, 3, h, w); its outputs are `scores` (1, classes), and the scalars `exit` (int64) and
    `confidence`, the largest softmax of these scores.  Thresholds are one per exit but the last, None for an exit that
    is not asked; the last exit answers where none is sure.  Gates are those of `route` (default: all blocks kept).

    Raises:
        ValueError: the thresholds or the route do not fit the network.
    """
    network = models.network
    if len(thresholds) != len(network.exits) - 1:
        raise ValueError(f"{len(thresholds)} thresholds were given for {len(network.exits) - 1} exits before the last")
    fixed = None if gates_as_inputs else network.check_route(network.full_route if route is None else route)
    builder = _Builder(models, tuple(thresholds), fixed)
    body = builder.body(builder.next_asked(0), IMAGE, 0)
    image = network.stages[network.order[0]].input
    graph = helper.make_graph(
        [*body.nodes, *(helper.make_node("Identity", [of], [result]) for of, result in _named(body))],
        "early_exits",
        [helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, image.shape), *builder.gate_inputs()],
        _declared(OUTPUTS, network.stages[network.exits[-1].head].output.shape[-1]),
        builder.weights,
    )
    opsets = [helper.make_opsetid(domain, opset) for domain, opset in builder.opsets.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=builder.ir_version)
    onnx.checker.check_model(model, full_check=True)
    return model


@dataclass
class _Body:
    """Nodes in order, and the names of the three results that they lead to."""

    nodes: list[onnx.NodeProto]
    results: tuple[str, str, str]


@dataclass
class _Builder:
    """Joins stages; all weights are those of the outermost graph, which the inner ones see.

    Without a route, gates are inputs.
    """

    models: StageModels
    thresholds: tuple[float | None, ...]
    route: Route | None
    weights: list[onnx.TensorProto] = field(default_factory=list)
    opsets: dict[str, int] = field(default_factory=dict)
    ir_version: int = 0

    def body(self, index: int, source: str, start: int) -> _Body:
        """What runs from trunk position `start`, where the features are `source`, to exit `index` and on from there."""
        network = self.models.network
        nodes: list[onnx.NodeProto] = []
        features = self._trunk(nodes, source, start, index)
        own = _Body(nodes, _measure(nodes, index, self._append(nodes, network.exits[index].head, features)))
        if index == len(self.thresholds):
            return own
        rest = self.body(self.next_asked(index + 1), features, network.exit_positions[index])
        threshold = self.thresholds[index]
        assert threshold is not None, "an exit without a threshold is not asked"
        return self._decided(index, threshold, own, rest)

    def next_asked(self, index: int) -> int:
        """The first exit from this one on that is asked; the last always is."""
        asked = (each for each in range(index, len(self.thresholds)) if self.thresholds[each] is not None)
        return next(asked, len(self.thresholds))

    def gate_inputs(self) -> list[onnx.ValueInfoProto]:
        """What says of each gate whether its block is kept, where that is decided outside."""
        gates = () if self.route is not None else self.models.network.gates
        return [helper.make_tensor_value_info(_keep(index), TensorProto.BOOL, ()) for index in range(len(gates))]

    def _trunk(self, nodes: list[onnx.NodeProto], source: str, start: int, index: int) -> str:
        """Append what leads from trunk position `start` to exit `index`; gives the name of the features there."""
        network = self.models.network
        if self.route is not None:
            for stage in network.segment(self.route, start, index).stages:
                source = self._append(nodes, stage, source)
            return source
        gates = {gate.block: number for number, gate in enumerate(network.gates)}
        for stage in network.order[start : network.exit_positions[index]]:
            append = self._append if stage not in gates else self._append_gated
            source = append(nodes, stage, source)
        return source

    def _append_gated(self, nodes: list[onnx.NodeProto], block: str, source: str) -> str:
        """Append the choice between a block and its bypass; gives the name of what it leads to."""
        index, gate = next((each, gate) for each, gate in enumerate(self.models.network.gates) if gate.block == block)
        kept: list[onnx.NodeProto] = []
        dropped: list[onnx.NodeProto] = []
        name, other = f"gate{index}", f"gate{index}/passed"
        given = self._append(kept, block, source)
        if gate.bypass is None:
            dropped.append(helper.make_node("Identity", [source], [other]))
        else:
            other = self._append(dropped, gate.bypass, source)
        branches = {
            "then_branch": helper.make_graph(kept, f"{name}_kept", [], [self._declared_as(block, given)]),
            "else_branch": helper.make_graph(dropped, f"{name}_dropped", [], [self._declared_as(block, other)]),
        }
        nodes.append(helper.make_node("If", [_keep(index)], [f"{name}/features"], **branches))
        return f"{name}/features"

    def _declared_as(self, stage: str, name: str) -> onnx.ValueInfoProto:
        """Under another name, what a stage gives."""
        value = onnx.ValueInfoProto()
        value.CopyFrom(self.models.stage_model(stage).graph.output[0])
        value.name = name
        return value

    def _append(self, nodes: list[onnx.NodeProto], stage: str, source: str) -> str:
        """Append a stage that reads `source`; gives the name of its output."""
        model = compose.add_prefix(self.models.stage_model(stage), f"{stage}/")
        for entry in model.opset_import:
            if self.opsets.setdefault(entry.domain, entry.version) != entry.version:
                raise ValueError(f"stage {stage} uses opset {entry.version}, others {self.opsets[entry.domain]}")
        self.ir_version = max(self.ir_version, model.ir_version)
        self.weights += model.graph.initializer
        nodes += [helper.make_node("Identity", [source], [model.graph.input[0].name]), *model.graph.node]
        return str(model.graph.output[0].name)

    def _decided(self, index: int, threshold: float, own: _Body, rest: _Body) -> _Body:
        """The exit's own results where it is sure enough, else those of the rest."""
        network = self.models.network
        classes = network.stages[network.exits[index].head].output.shape[-1]
        name = f"exit{index}"
        taken = [helper.make_node("Identity", [of], [f"{name}/taken/{result}"]) for of, result in _named(own)]
        taken_results = tuple(f"{name}/taken/{result}" for result in OUTPUTS)
        nodes = [
            *own.nodes,
            _constant(np.array(threshold, np.float32), f"{name}/threshold"),
            helper.make_node("GreaterOrEqual", [own.results[2], f"{name}/threshold"], [f"{name}/sure"]),
            helper.make_node(
                "If",
                [f"{name}/sure"],
                [f"{name}/{result}" for result in OUTPUTS],
                then_branch=helper.make_graph(taken, f"{name}_taken", [], _declared(taken_results, classes)),
                else_branch=helper.make_graph(rest.nodes, f"{name}_passed", [], _declared(rest.results, classes)),
            ),
        ]
        scores, exit_, confidence = (f"{name}/{result}" for result in OUTPUTS)
        return _Body(nodes, (scores, exit_, confidence))


def _measure(nodes: list[onnx.NodeProto], index: int, scores: str) -> tuple[str, str, str]:
    """Append what names an exit and says how sure it is; gives the names of the three results."""
    name = f"exit{index}"
    nodes += [
        _constant(np.array(index, np.int64), f"{name}/index"),
        helper.make_node("Softmax", [scores], [f"{name}/softmax"], axis=-1),
        # Over all axes: which ones became an input with opset 18.
        helper.make_node("ReduceMax", [f"{name}/softmax"], [f"{name}/own"], keepdims=0),
    ]
    return scores, f"{name}/index", f"{name}/own"


def _keep(gate: int) -> str:
    return f"keep{gate}"


def _named(body: _Body) -> list[tuple[str, str]]:
    return list(zip(body.results, OUTPUTS, strict=True))


def _constant(value: NDArray[np.generic], name: str) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name))


def _declared(names: Sequence[str], classes: int) -> list[onnx.ValueInfoProto]:
    kinds = ((TensorProto.FLOAT, (1, classes)), (TensorProto.INT64, ()), (TensorProto.FLOAT, ()))
    return [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in zip(names, kinds, strict=True)]
