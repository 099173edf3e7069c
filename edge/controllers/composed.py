"""Several controllers as one: `gusodrop+confidence:0.9`, `deadline:5ms+patience:2`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.controllers.base import Controller
from edge.network import Network, Route
from edge.randomness import GateRandom


class Composed(Controller):
    """Stops where any of its parts does, and asks the exits that any of them wants; one part at most decides gates.

    Where the frame ends, the first part that falls back to another exit has its way; `confidences` are those of the
    first part that has any.

    Raises:
        ValueError: two parts decide gates.
    """

    def __init__(self, parts: Sequence[Controller]) -> None:
        self.parts = tuple(parts)
        deciding = [part for part in self.parts if decides_gates(part)]
        if len(deciding) > 1:
            names = " and ".join(type(part).__name__ for part in deciding)
            raise ValueError(f"{names} both decide gates: compose at most one such controller with others")
        self._of_gates = deciding[0] if deciding else self.parts[0]
        self.needs_policy = any(part.needs_policy for part in self.parts)
        self.asks_gates = any(part.asks_gates for part in self.parts)
        self.wants_vary = any(part.wants_vary for part in self.parts)
        self.rehearsals = max(part.rehearsals for part in self.parts)

    def attach(self, network: Network, random: GateRandom) -> None:
        super().attach(network, random)
        for part in self.parts:
            part.attach(network, random)

    def start(self) -> None:
        for part in self.parts:
            part.start()

    def gates(self, probabilities: NDArray[np.float32] | None) -> Route:
        return self._of_gates.gates(probabilities)

    def at_gate(self, gate: int, scores: NDArray[np.float32]) -> bool:
        return self._of_gates.at_gate(gate, scores)

    # In the following every part is asked, whatever the others say, since it may count what it sees.

    def wants(self, exit_index: int) -> bool:
        return True in [part.wants(exit_index) for part in self.parts]

    def at_exit(self, exit_index: int, scores: NDArray[np.float32]) -> bool:
        return True in [part.at_exit(exit_index, scores) for part in self.parts]

    def at_end(self, exit_index: int, scores: NDArray[np.float32]) -> int:
        answers = [part.at_end(exit_index, scores) for part in self.parts]
        self.confidences = next((part.confidences for part in self.parts if part.confidences), {})
        return next((answer for answer in answers if answer != exit_index), exit_index)

    def likely_routes(self) -> list[Route]:
        return self._of_gates.likely_routes()


def decides_gates(controller: Controller) -> bool:
    """Whether a controller may drop blocks: one that keeps to the base class does not."""
    if isinstance(controller, Composed):
        return any(decides_gates(part) for part in controller.parts)
    return controller.asks_gates or type(controller).gates is not Controller.gates


def decides_exits(controller: Controller) -> bool:
    """Whether a controller may stop early: one that keeps to the base class does not."""
    if isinstance(controller, Composed):
        return any(decides_exits(part) for part in controller.parts)
    return type(controller).wants is not Controller.wants
