"""GuSoDrop: every frame draws its own route from the decision network's probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.controllers.base import Controller, all_routes, refuse_no_policy
from edge.network import Network, Route
from edge.randomness import GateRandom


@dataclass
class GuSoDrop(Controller):
    """Gate i open with the probability that the policy gives it for this frame.

    Drawing the arg max of two Gumbel-perturbed logits (the poster's Gumbel-Softmax sampling) is drawing a Bernoulli
    variable of the same probability; one uniform number does it.
    """

    needs_policy = True

    def attach(self, network: Network, random: GateRandom) -> None:
        super().attach(network, random)
        refuse_no_policy(network, "gusodrop")

    def gates(self, probabilities: NDArray[np.float32] | None) -> Route:
        assert probabilities is not None, "the runtime runs the policy for a controller that needs it"
        return self.random.route(probabilities.tolist())

    def likely_routes(self) -> list[Route]:
        return all_routes(self.network)
