"""Segments run stage by stage, each stage a session of its own: always right, and a little slower than one graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.backends.base import Executable, Features
from edge.backends.onnxruntime.calls import Call
from edge.backends.onnxruntime.process import Process
from edge.network import Segment

if TYPE_CHECKING:
    import onnx


@dataclass(slots=True)
class ChainExecutable:
    """A segment as a chain of calls: its trunk stages, then its head."""

    trunk: tuple[Call, ...]
    head: Call
    continues: bool
    plan: str = "chain"

    def run(self, features: Features) -> tuple[Features | None, NDArray[np.float32]]:
        for call in self.trunk:
            call.run(features)
            features = call.outputs[0].value
        self.head.run(features)
        return features if self.continues else None, self.head.outputs[0].array[0].copy()


class ChainCompiler:
    """One session per stage, made at once and shared by all segments."""

    plan = "staged"

    def __init__(self, process: Process, stages: Mapping[str, onnx.ModelProto]) -> None:
        self._calls = {
            stage: Call(process.ort, process.session(model.SerializeToString(), process.options(optimise=True)))
            for stage, model in stages.items()
        }

    def compile(self, segment: Segment) -> Executable:
        trunk = tuple(self._calls[stage] for stage in segment.stages)
        return ChainExecutable(trunk, self._calls[segment.head], segment.continues)
