"""SkipNet: every block has a gate of its own, asked when the frame gets there (Wang et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.controllers.base import Controller
from edge.network import Network, Route
from edge.randomness import GateRandom, ProbabilityError


@dataclass
class SkipNet(Controller):
    """Keeps a block if its gate says so with probability above 0.5, and blocks without a gate network: `skipnet`."""

    asks_gates = True

    def attach(self, network: Network, random: GateRandom) -> None:
        super().attach(network, random)
        if all(gate.decision is None for gate in network.gates):
            raise ValueError(
                "controller skipnet needs a network with a gate network at its blocks, and this one has none; choose "
                "another model, or another controller"
            )

    def at_gate(self, gate: int, scores: NDArray[np.float32]) -> bool:
        keep = float(scores[0])
        if not 0.0 <= keep <= 1.0:
            raise ProbabilityError(f"keep-probability {keep} of gate {gate} is not in [0, 1]")
        return keep > 0.5

    def likely_routes(self) -> list[Route]:
        """Between two gates that are asked there is one block: these two routes hold every segment."""
        dropped = "".join("1" if gate.decision is None else "0" for gate in self.network.gates)
        return [self.network.full_route, dropped]
