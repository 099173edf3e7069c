"""GuSoDrop: every frame draws its own route from the decision network's probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edge.controllers.base import Controller, all_routes
from edge.network import Network, Route
from edge.randomness import GateRandom


@dataclass
class GuSoDrop(Controller):
    """Gate i open with the probability that the policy gives it for this frame.

    Drawing the arg max of two Gumbel-perturbed logits (the poster's Gumbel-Softmax sampling) is drawing a Bernoulli
    variable of the same probability; one uniform number does it.
    """

    needs_policy: ClassVar[bool] = True

    def attach(self, network: Network, random: GateRandom) -> None:
        super().attach(network, random)
        if network.policy is None:
            raise ValueError(
                "controller gusodrop needs a network with a decision network, and this one has none; "
                "choose another model, or --controller all, fixed:ROUTE or random:P"
            )

    def gates(self, probabilities: NDArray[np.float32] | None) -> Route:
        assert probabilities is not None, "the runtime runs the policy for a controller that needs it"
        return self.random.route(probabilities.tolist())

    def likely_routes(self) -> list[Route]:
        return all_routes(self.network)
