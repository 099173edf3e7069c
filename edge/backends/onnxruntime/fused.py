"""Segments run as one session each, or as a few where there are many routes.

Their graphs are joined from the pieces of a network that was optimised as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from edge.backends.base import Executable, Features
from edge.backends.compose import compose, network_inputs
from edge.backends.onnxruntime.calls import Call
from edge.backends.onnxruntime.cut import cut, optimise
from edge.backends.onnxruntime.pieces import Pieces, join
from edge.backends.onnxruntime.placeholder import Placeholder
from edge.backends.onnxruntime.process import Process
from edge.backends.onnxruntime.spans import Link, Spans, divide
from edge.network import Network, Segment

if TYPE_CHECKING:
    import onnx


@dataclass(slots=True)
class FusedExecutable:
    """A segment as one call, or a few where it is divided; the last one's first output are the scores.

    Where the last has no stages its features are its input, and `passes_input` is set.
    """

    before: tuple[Call, ...]
    last: Call
    continues: bool
    passes_input: bool
    plan: str = "fused"

    def run(self, features: Features) -> tuple[Features | None, NDArray[np.float32]]:
        for call in self.before:
            call.run(features)
            features = call.outputs[0].value
        self.last.run(features)
        scores = self.last.outputs[0].array[0].copy()
        if not self.continues:
            return None, scores
        return features if self.passes_input else self.last.outputs[1].value, scores


class FusedCompiler:
    """The pieces of a network, once for all segments; segments share the sessions of the links they have in common."""

    plan = "fused"

    def __init__(
        self,
        process: Process,
        network: Network,
        pieces: Pieces,
        precision: str = "fp32",
        spans: Spans | None = None,
    ) -> None:
        self._process = process
        self.pieces = pieces
        # Without them a convolution in int8 takes eight times as long; in float32 they save nothing.
        self.packs = precision == "int8"
        self.spans = spans or divide(network, _packed_bytes(pieces) if self.packs else {})
        self._placeholder = Placeholder()
        self._calls: WeakValueDictionary[Link, Call] = WeakValueDictionary()

    def compile(self, segment: Segment) -> Executable:
        links = self.spans.links(segment)
        *before, last = map(self._call, links)
        return FusedExecutable(tuple(before), last, segment.continues, not links[-1].stages)

    def _call(self, link: Link) -> Call:
        call = self._calls.get(link)
        if call is None:
            call = self._calls[link] = self._built(link)
        return call

    def _built(self, link: Link) -> Call:
        model, weights = join(self.pieces, link)
        options = self._process.options(optimise=False)
        if not self.packs:
            # Packed weights would be a copy per session: 2 MB each for a head of 1000 classes.
            options.add_session_config_entry("session.disable_prepacking", "1")
        for name, weight in weights.items():
            options.add_initializer(name, weight.value)
        folder = str(self._placeholder.folder())
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
        session = self._process.session(model, options)
        return Call(self._process.ort, session, tuple(weights.values()))


def _packed_bytes(pieces: Pieces) -> dict[str, int]:
    return {
        stage: sum(pieces.weights[name].array.nbytes for name in piece.weights)
        for stage, piece in pieces.by_stage.items()
    }


def optimised_pieces(process: Process, network: Network, stages: Mapping[str, onnx.ModelProto]) -> Pieces:
    """The pieces of a network, optimised here and now."""
    return cut(network, optimise(process, compose(network, stages, network_inputs(network))), process)
