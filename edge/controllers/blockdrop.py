"""BlockDrop: every frame takes the route that the decision network finds likeliest (Wu et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.controllers.base import Controller, all_routes, refuse_no_policy
from edge.network import Network, Route
from edge.randomness import GateRandom, ProbabilityError


@dataclass
class BlockDrop(Controller):
    """Gate i open if the policy keeps its block with probability 0.5 or more: no randomness, `blockdrop`."""

    needs_policy = True

    def attach(self, network: Network, random: GateRandom) -> None:
        super().attach(network, random)
        refuse_no_policy(network, "blockdrop")

    def gates(self, probabilities: NDArray[np.float32] | None) -> Route:
        assert probabilities is not None, "the runtime runs the policy for a controller that needs it"
        bits: list[str] = []
        for probability in probabilities.tolist():
            if not 0.0 <= probability <= 1.0:
                raise ProbabilityError(f"keep-probability {probability} of gate {len(bits)} is not in [0, 1]")
            bits.append("1" if probability >= 0.5 else "0")
        return "".join(bits)

    def likely_routes(self) -> list[Route]:
        return all_routes(self.network)
