"""What the runtime asks of a controller."""

from __future__ import annotations

from itertools import product
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edge.network import Network, Route
from edge.randomness import GateRandom


class Controller:
    """Decides gates and exits; pure Python on small arrays, no backend inside.

    The runtime calls `attach` once, then for every frame `start`, `gates`, and at each exit but the last `wants` and,
    if it was wanted, `at_exit`.  A controller that needs the policy's probabilities sets `needs_policy`; otherwise the
    policy is not run.  This class keeps every block and never stops early: override what should differ.
    Options are the fields of a dataclass; field metadata `help` and `example` are shown when a value is wrong.
    """

    needs_policy: ClassVar[bool] = False

    def attach(self, network: Network, random: GateRandom) -> None:
        """Learn the network and the source of randomness; refuse a network that does not fit with a ValueError."""
        self.network = network
        self.random = random

    def start(self) -> None:
        """A new frame begins."""

    def gates(self, probabilities: NDArray[np.float32] | None) -> Route:
        """The route of this frame, given keep-probabilities (gates,), or None without a policy."""
        return self.network.full_route

    def wants(self, exit_index: int) -> bool:
        """Whether the head of this exit should run."""
        return False

    def at_exit(self, exit_index: int, scores: NDArray[np.float32]) -> bool:
        """Whether to stop here, given scores (classes,)."""
        return False

    def likely_routes(self) -> list[Route]:
        """Routes worth compiling before the first frame; all that can occur where they are few."""
        return [self.network.full_route]


MOST_ROUTES_COMPILED_AHEAD = 256


def all_routes(network: Network) -> list[Route]:
    """Every route of the network, or none where they are too many to compile ahead (more than 256)."""
    if 2 ** len(network.gates) > MOST_ROUTES_COMPILED_AHEAD:
        return []
    return ["".join(bits) for bits in product("10", repeat=len(network.gates))]
