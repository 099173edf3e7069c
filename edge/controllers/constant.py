"""Controllers that take the same path every frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.controllers.base import Controller
from edge.network import Network, Route
from edge.randomness import GateRandom


@dataclass
class Fixed(Controller):
    """One given path: `fixed:11010111`, `fixed:exit=2`, or `fixed:11010111,exit=2`; what is left out is the whole."""

    route: Route | None = field(
        default=None, metadata={"help": "one bit a gate, first block first", "example": "fixed:11010111"}
    )
    exit: int | None = field(default=None, metadata={"help": "where to stop, 0 the first exit", "example": "exit=2"})

    def __post_init__(self) -> None:
        if self.route is None and self.exit is None:
            raise ValueError("fixed needs a route or an exit, for example fixed:11010111 or fixed:exit=2")

    def attach(self, network: Network, random: GateRandom) -> None:
        super().attach(network, random)
        if self.route is not None:
            network.check_route(self.route)
        last = len(network.exits) - 1
        self._exit = last if self.exit is None else self.exit
        if not 0 <= self._exit <= last:
            raise ValueError(f"fixed:exit={self.exit} is no exit of this network: choose 0 to {last}, its last")

    def gates(self, probabilities: NDArray[np.float32] | None) -> Route:
        return self.network.full_route if self.route is None else self.route

    def wants(self, exit_index: int) -> bool:
        return exit_index == self._exit

    def at_exit(self, exit_index: int, scores: NDArray[np.float32]) -> bool:
        return exit_index == self._exit

    def likely_routes(self) -> list[Route]:
        return [self.gates(None)]


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
