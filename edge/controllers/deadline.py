"""Stop in time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from edge.controllers.base import Controller, refuse_single_exit
from edge.controllers.costs import RecentCosts
from edge.network import Network
from edge.randomness import GateRandom
from edge.times import parse_ms

_NANOSECONDS_PER_MS = 1e6
# Where a frame stands before the first exit.
_INPUT = -1


@dataclass
class Deadline(Controller):
    """Goes as deep as the time allows, from the beginning of the inference: `deadline:5ms`.

    The way from exit to exit costs what nearly all of its last 32 runs took.  A head runs only where the next exit may
    be out of reach, or where another controller asks: `deadline:5ms+confidence:0.9`.  A frame is late only where the
    first exit alone is, or where a way takes longer than nearly always.
    """

    wants_vary = True
    rehearsals = 8

    budget: str = field(metadata={"help": "time of one inference, in us, ms or s", "example": "deadline:5ms"})
    clock: Callable[[], int] = field(default=perf_counter_ns, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            self._budget_ns = round(parse_ms(self.budget) * _NANOSECONDS_PER_MS)
        except ValueError:
            raise ValueError(f"budget={self.budget} is not a time; for example deadline:5ms") from None

    def attach(self, network: Network, random: GateRandom) -> None:
        super().attach(network, random)
        refuse_single_exit(network, "deadline")
        self._costs: defaultdict[tuple[int, int], RecentCosts] = defaultdict(RecentCosts)

    def start(self) -> None:
        self._began_ns = self.clock()
        self._at = _INPUT
        self._left_ns: int | None = None

    def wants(self, exit_index: int) -> bool:
        now_ns = self.clock()
        if self._left_ns is None:
            # The policy, if there is one, has run.
            self._left_ns = now_ns
        return not self._in_time(now_ns, exit_index + 1)

    def at_exit(self, exit_index: int, scores: NDArray[np.float32]) -> bool:
        return not self._in_time(self._arrive(exit_index), exit_index + 1)

    def at_end(self, exit_index: int, scores: NDArray[np.float32]) -> int:
        if exit_index != self._at:
            self._arrive(exit_index)
        return exit_index

    def _arrive(self, exit_index: int) -> int:
        """Learn what the way to this exit took; gives the time."""
        now_ns = self.clock()
        left_ns = self._began_ns if self._left_ns is None else self._left_ns
        self._costs[self._at, exit_index].add(now_ns - left_ns)
        self._at, self._left_ns = exit_index, now_ns
        return now_ns

    def _in_time(self, now_ns: int, exit_index: int) -> bool:
        """Whether an exit is likely to be reached in time from the last one that was asked."""
        direct = self._costs.get((self._at, exit_index))
        ways = [direct] if direct else [self._costs[each, each + 1] for each in range(self._at, exit_index)]
        in_time = now_ns + sum(way.upper_ns for way in ways) <= self._began_ns + self._budget_ns
        if not in_time:
            for way in ways:
                way.avoid()
        return in_time
