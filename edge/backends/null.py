"""A backend that computes nothing: what the harness itself costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edge.backends.base import Features
from edge.backends.models import StageModels
from edge.network import Segment


@dataclass
class Null:
    """Every keep-probability is 0.5 and every score 0."""

    # Whether an answer is right, or that of the full network, says nothing here, and is left out.
    computes: ClassVar[bool] = False

    def open(self, models: StageModels, threads: int) -> OpenedNull:
        return OpenedNull(models)


class OpenedNull:
    def __init__(self, models: StageModels) -> None:
        self._network = models.network

    def compile(self, segment: Segment) -> NullExecutable:
        head = self._network.stages[segment.head]
        return NullExecutable(np.full(head.output.shape[-1], 0.5 if head.kind == "policy" else 0.0, np.float32))

    def describe(self) -> dict[str, str]:
        return {"name": "null", "plan": "computes nothing"}

    def close(self) -> None:
        pass


class NullExecutable:
    plan = "fused"

    def __init__(self, answer: NDArray[np.float32]) -> None:
        self._answer = answer

    def run(self, features: Features) -> tuple[Features, NDArray[np.float32]]:
        return features, self._answer
