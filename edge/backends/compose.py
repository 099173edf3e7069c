"""Stages joined into one ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edge.network import Network, Segment

if TYPE_CHECKING:
    import onnx

# No stage can be called this, since an id is part of a file name.
IMAGE = "/image"


class ComposeError(Exception):
    """The stages cannot be joined into one graph."""


def network_inputs(network: Network) -> dict[str, str]:
    """For every stage the stage it reads (or `IMAGE`) while all blocks are kept.

    Joined like this, bypasses, heads, gate networks and policy hang off the trunk as side branches.
    """
    before = dict(zip(network.order, (IMAGE, *network.order), strict=False))
    inputs = dict(before)
    for gate in network.gates:
        inputs.update((stage, before[gate.block]) for stage in (gate.bypass, gate.decision) if stage is not None)
    inputs.update((exit_.head, exit_.after) for exit_ in network.exits)
    if network.policy is not None:
        inputs[network.policy] = IMAGE
    return inputs


def segment_inputs(segment: Segment) -> dict[str, str]:
    """The same for a segment that begins at the image; joined like this it is the static network of one route."""
    chain = (*segment.stages, segment.head)
    return dict(zip(chain, (IMAGE, *chain), strict=False))


def compose(network: Network, stages: Mapping[str, onnx.ModelProto], inputs: Mapping[str, str]) -> onnx.ModelProto:
    """One graph of the stages in `inputs`, each joined to the one it reads.

    Its input is `IMAGE`.  Its outputs are those of every stage, called by the stages' ids; other tensors of a stage are
    called "id/name".

    Raises:
        ComposeError: stages differ in their operator sets, or hold control flow.
    """
    from onnx import TensorProto, helper

    models = {stage: stages[stage] for stage in inputs}
    composed = helper.make_model(
        helper.make_graph([], "network", [], []),
        opset_imports=_opset_imports(models),
        ir_version=max(model.ir_version for model in models.values()),
    )
    image = network.stages[network.order[0]].input
    composed.graph.input.append(helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, image.shape))
    for stage, source in inputs.items():
        _append(composed.graph, models[stage].graph, stage, source)
        given = composed.graph.output.add()
        given.CopyFrom(models[stage].graph.output[0])
        given.name = stage
    return composed


def _opset_imports(models: Mapping[str, onnx.ModelProto]) -> list[onnx.OperatorSetIdProto]:
    imports: dict[str, onnx.OperatorSetIdProto] = {}
    for stage, model in models.items():
        for entry in model.opset_import:
            known = imports.setdefault(entry.domain, entry)
            if known.version != entry.version:
                raise ComposeError(
                    f"stage {stage} uses opset {entry.version} of {entry.domain or 'ai.onnx'}, others {known.version}"
                )
    return list(imports.values())


def _append(graph: onnx.GraphProto, part: onnx.GraphProto, stage: str, source: str) -> None:
    """Append the nodes and weights of a stage, its input joined to `source`, its output called `stage`."""
    names = {"": "", part.input[0].name: source, part.output[0].name: stage}

    def renamed(name: str) -> str:
        return names.get(name, f"{stage}/{name}")

    for node in part.node:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise ComposeError(f"stage {stage} holds control flow ({node.op_type})")
        copy = graph.node.add()
        copy.CopyFrom(node)
        copy.name = renamed(node.name) if node.name else ""
        copy.input[:] = [renamed(name) for name in node.input]
        copy.output[:] = [renamed(name) for name in node.output]
    for tensor in part.initializer:
        weight = graph.initializer.add()
        weight.CopyFrom(tensor)
        weight.name = renamed(tensor.name)
