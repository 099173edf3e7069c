"""Controllers that take the same route every frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.controllers.base import Controller
from edge.network import Network, Route
from edge.randomness import GateRandom


@dataclass
class Fixed(Controller):
    """One given route: `fixed:11010111`."""

    route: Route = field(metadata={"help": "one bit a gate, first block first", "example": "fixed:11010111"})

    def attach(self, network: Network, random: GateRandom) -> None:
        super().attach(network, random)
        network.check_route(self.route)

    def gates(self, probabilities: NDArray[np.float32] | None) -> Route:
        return self.route

    def likely_routes(self) -> list[Route]:
        return [self.route]


@dataclass
class KeepAll(Controller):
    """Every block of every frame: the full network."""


@dataclass
class DropAll(Controller):
    """No block at all: the floor of what the network can cost."""

    def gates(self, probabilities: NDArray[np.float32] | None) -> Route:
        return "0" * len(self.network.gates)

    def likely_routes(self) -> list[Route]:
        return ["0" * len(self.network.gates)]
