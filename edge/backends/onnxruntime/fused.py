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
from edge.backends.onnxruntime.cut import PLACEHOLDER_FILE, cut, optimise
from edge.backends.onnxruntime.pieces import Pieces, join
from edge.backends.onnxruntime.process import Process
from edge.network import Network, Segment

if TYPE_CHECKING:
    import onnx


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
    """The pieces of a network, once for all segments."""

    plan = "fused"

    def __init__(self, process: Process, pieces: Pieces) -> None:
        self._process = process
        self.pieces = pieces

    def compile(self, segment: Segment) -> Executable:
        model, weights = join(self.pieces, segment)
        options = self._process.options(optimise=False)
        # Packed weights would be a copy per session: 2 MB each for a head of 1000 classes.
        options.add_session_config_entry("session.disable_prepacking", "1")
        for name, weight in weights.items():
            options.add_initializer(name, weight.value)
        with tempfile.TemporaryDirectory(prefix="edgebench-") as folder:
            Path(folder, PLACEHOLDER_FILE).touch()
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
            session = self._process.session(model, options)
        call = Call(self._process.ort, session, tuple(weights.values()))
        return FusedExecutable(call, segment.continues, not segment.stages)


def optimised_pieces(process: Process, network: Network, stages: Mapping[str, onnx.ModelProto]) -> Pieces:
    """The pieces of a network, optimised here and now."""
    return cut(network, optimise(process, compose(network, stages, network_inputs(network))), process)
