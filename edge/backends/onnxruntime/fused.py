"""Segments run as one session each, joined from the pieces of a network that was optimised as a whole."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.backends.base import Executable, Features
from edge.backends.onnxruntime.calls import Call
from edge.backends.onnxruntime.compose import compose, network_inputs
from edge.backends.onnxruntime.cut import PLACEHOLDER_FILE, Piece, Pieces, cut, optimise
from edge.backends.onnxruntime.process import Process
from edge.backends.onnxruntime.weights import WeightPool
from edge.network import Network, Segment

if TYPE_CHECKING:
    import onnx

_INPUT = "/input"


@dataclass(slots=True)
class FusedExecutable:
    """A segment as one call, whose outputs are the scores and, if they go on, the features.

    Where a segment has no stages its features are its input, and `passes_input` is set.
    """

    call: Call
    continues: bool
    passes_input: bool
    plan: str = "fused"

    def run(self, features: Features) -> tuple[Features | None, NDArray[np.float32]]:
        self.call.run(features)
        scores = self.call.outputs[0].array[0].copy()
        if not self.continues:
            return None, scores
        return features if self.passes_input else self.call.outputs[1].value, scores


class FusedCompiler:
    """The pieces of a network and their weights, once for all segments."""

    plan = "fused"

    def __init__(self, process: Process, network: Network, stages: Mapping[str, onnx.ModelProto]) -> None:
        self._process = process
        self._pool = WeightPool(process.ort)
        composed = compose(network, stages, network_inputs(network))
        self._pieces = cut(network, optimise(process, composed), process, self._pool)

    def compile(self, segment: Segment) -> Executable:
        model = join(self._pieces, segment)
        weights = [(tensor.name, self._pool[tensor.name]) for tensor in model.graph.initializer if tensor.external_data]
        options = self._process.options(optimise=False)
        # Packed weights would be a copy per session: 2 MB each for a head of 1000 classes.
        options.add_session_config_entry("session.disable_prepacking", "1")
        for name, weight in weights:
            options.add_initializer(name, weight.value)
        with tempfile.TemporaryDirectory(prefix="edgebench-") as folder:
            Path(folder, PLACEHOLDER_FILE).touch()
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
            session = self._process.session(model.SerializeToString(), options)
        call = Call(self._process.ort, session, tuple(weight for _, weight in weights))
        return FusedExecutable(call, segment.continues, not segment.stages)


def join(pieces: Pieces, segment: Segment) -> onnx.ModelProto:
    """The graph of a segment, its weights left to be supplied; the first output is the scores."""
    from onnx import TensorProto, helper

    graph = helper.make_graph([], "segment", [], [])
    trunk = [pieces.by_stage[stage] for stage in segment.stages]
    head = pieces.by_stage[segment.head]
    first = (*trunk, head)[0]
    graph.input.append(helper.make_tensor_value_info(_INPUT, TensorProto.FLOAT, first.input.shape))
    features = _INPUT
    for piece in (*trunk, head):
        _append(graph, piece, features)
        features = piece.output.name
    outputs = [head, trunk[-1]] if segment.continues and trunk else [head]
    for piece in outputs:
        graph.output.append(helper.make_tensor_value_info(piece.output.name, TensorProto.FLOAT, piece.output.shape))
    return helper.make_model(graph, opset_imports=pieces.opset_imports, ir_version=pieces.ir_version)


def _append(graph: onnx.GraphProto, piece: Piece, features: str) -> None:
    """Append a piece, its input joined to `features`."""
    for node in piece.nodes:
        copy = graph.node.add()
        copy.CopyFrom(node)
        copy.input[:] = [features if name == piece.input.name else name for name in node.input]
    graph.initializer.extend((*piece.constants, *piece.weights))
