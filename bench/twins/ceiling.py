"""The whole network, and the most expensive way that a controller leaves open: beyond which no attack can lead."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
from numpy.typing import NDArray

from bench.harness import Contender
from bench.twins.summary import CEILING, FULL
from edge.controllers.base import Controller
from edge.controllers.composed import Composed, decides_exits, decides_gates
from edge.controllers.constant import DropAll, Fixed
from edge.network import Network, Route
from edge.randomness import GateRandom
from edge.runtime import Runtime

_STREAM = 2


def references(contender: Contender, controller: Controller, seed: int | None) -> tuple[Contender, ...]:
    """The networks to time beside one that decides frame by frame; none where all frames cost the same.

    They run on its backend, and are closed with it.
    """
    runtime, network = contender.runtime, contender.runtime.network
    if contender.reference is None or not (_gates_vary(controller) or _exits_vary(controller)):
        return ()
    # Draws of its own, so that those of a seeded run stay the same.
    dearest = Runtime(network, runtime.backend, Dearest(deepcopy(controller)), random=GateRandom(seed, _STREAM))
    return (
        Contender(contender.name + FULL, contender.reference),
        Contender(contender.name + CEILING, dearest),
    )


class Dearest(Controller):
    """Asks whatever another controller asks, and then keeps every block and never stops early.

    So policy, heads and decisions are paid for.  Blocks that the other one drops from every frame stay dropped.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._keeps_all = _gates_vary(controller)
        self.needs_policy = controller.needs_policy
        self.asks_gates = controller.asks_gates
        self.wants_vary = controller.wants_vary
        self.rehearsals = controller.rehearsals

    def attach(self, network: Network, random: GateRandom) -> None:
        super().attach(network, random)
        self._controller.attach(network, random)

    def start(self) -> None:
        self._controller.start()

    def gates(self, probabilities: NDArray[np.float32] | None) -> Route:
        route = self._controller.gates(probabilities)
        return self.network.full_route if self._keeps_all else route

    def at_gate(self, gate: int, scores: NDArray[np.float32]) -> bool:
        self._controller.at_gate(gate, scores)
        return True

    def wants(self, exit_index: int) -> bool:
        return self._controller.wants(exit_index)

    def at_exit(self, exit_index: int, scores: NDArray[np.float32]) -> bool:
        self._controller.at_exit(exit_index, scores)
        return False

    def at_end(self, exit_index: int, scores: NDArray[np.float32]) -> int:
        return self._controller.at_end(exit_index, scores)

    def likely_routes(self) -> list[Route]:
        return [self.network.full_route] if self._keeps_all else self._controller.likely_routes()


def _gates_vary(controller: Controller) -> bool:
    if isinstance(controller, Composed):
        return any(_gates_vary(part) for part in controller.parts)
    return decides_gates(controller) and not isinstance(controller, (Fixed, DropAll))


def _exits_vary(controller: Controller) -> bool:
    if isinstance(controller, Composed):
        return any(_exits_vary(part) for part in controller.parts)
    return decides_exits(controller) and not isinstance(controller, Fixed)
