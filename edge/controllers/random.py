"""Random depth without a policy: what a policy has to beat."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.controllers.base import Controller, all_routes
from edge.network import Network, Route
from edge.randomness import GateRandom


@dataclass
class RandomDepth(Controller):
    """Every gate open with the same probability, whatever the frame: `random:0.6`."""

    keep: float = field(metadata={"help": "keep-probability of every gate, 0 to 1", "example": "random:0.6"})

    def __post_init__(self) -> None:
        if not 0.0 <= self.keep <= 1.0:
            raise ValueError(f"keep is a probability from 0 to 1, not {self.keep:g}; for example random:0.6")

    def attach(self, network: Network, random: GateRandom) -> None:
        super().attach(network, random)
        self._keep = [self.keep] * len(network.gates)

    def gates(self, probabilities: NDArray[np.float32] | None) -> Route:
        return self.random.route(self._keep)

    def likely_routes(self) -> list[Route]:
        return all_routes(self.network)
