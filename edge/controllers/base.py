"""What the runtime asks of a controller."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from edge.network import Network, Route
from edge.randomness import GateRandom


class Controller:
    """Decides gates and exits; pure Python on small arrays, no backend inside.

    The runtime calls `attach` once, then for every frame `start`, `gates`, at each exit but the last `wants` and, if it
    was wanted, `at_exit`, and once `at_end`.  This class keeps every block and never stops early: override what should
    differ.  Options are the fields of a dataclass; field metadata `help` and `example` are shown when a value is wrong.

    A controller that needs the policy's probabilities sets `needs_policy`; one that decides block by block, from gate
    networks inside the trunk, `asks_gates`; one that `wants` an exit now and then `wants_vary`, so that segments
    between all exits are compiled ahead; one that has costs to learn a number of `rehearsals`: that many times a grey
    image goes from exit to exit to the end, whatever `wants` and `at_exit` say, before the first frame.
    """

    needs_policy: bool = False
    asks_gates: bool = False
    wants_vary: bool = False
    rehearsals: int = 0
    # What was computed at the exits asked in this frame, for who wants to look.
    confidences: Mapping[int, float] = MappingProxyType({})

    def attach(self, network: Network, random: GateRandom) -> None:
        """Learn the network and the source of randomness; refuse a network that does not fit with a ValueError."""
        self.network = network
        self.random = random

    def start(self) -> None:
        """A new frame begins."""

    def gates(self, probabilities: NDArray[np.float32] | None) -> Route:
        """The route of this frame, given keep-probabilities (gates,), or None without a policy.

        With `asks_gates`, the bits of gates that have a network of their own are decided later, by `at_gate`.
        """
        return self.network.full_route

    def at_gate(self, gate: int, scores: NDArray[np.float32]) -> bool:
        """Whether to keep the block of this gate, given what its own network says, (1,); only with `asks_gates`."""
        return True

    def wants(self, exit_index: int) -> bool:
        """Whether the head of this exit should run."""
        return False

    def at_exit(self, exit_index: int, scores: NDArray[np.float32]) -> bool:
        """Whether to stop here, given scores (classes,).

        Beside another controller that wants exits of its own, this may be asked where `wants` was False.
        """
        return False

    def at_end(self, exit_index: int, scores: NDArray[np.float32]) -> int:
        """The frame ends at this exit, the last or one that was stopped at: which exit's scores are the answer."""
        return exit_index

    def likely_routes(self) -> list[Route]:
        """Routes worth compiling before the first frame; all that can occur where they are few."""
        return [self.network.full_route]


def refuse_single_exit(network: Network, controller: str) -> None:
    """Refuse a network that can stop nowhere but at its end.

    Raises:
        ValueError: it has one exit.
    """
    if len(network.exits) < 2:
        raise ValueError(
            f"controller {controller} needs a network with early exits, and this one has none; choose another model, "
            "or another controller"
        )


def refuse_no_policy(network: Network, controller: str) -> None:
    """Refuse a network without a decision network on its input.

    Raises:
        ValueError: it has none.
    """
    if network.policy is None:
        raise ValueError(
            f"controller {controller} needs a network with a decision network, and this one has none; "
            "choose another model, or --controller all, fixed:ROUTE or random:P"
        )


MOST_ROUTES_COMPILED_AHEAD = 256


def all_routes(network: Network) -> list[Route]:
    """Every route of the network, or none where they are too many to compile ahead (more than 256)."""
    if 2 ** len(network.gates) > MOST_ROUTES_COMPILED_AHEAD:
        return []
    return ["".join(bits) for bits in product("10", repeat=len(network.gates))]
