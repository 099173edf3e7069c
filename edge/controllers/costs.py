"""What the way from one exit to another takes on this machine, learned while it runs."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

_KEPT = 32
# The second longest of 32: about the 95th percentile, which a single hiccup does not move.
_EXCEEDED_BY = 1
_FORGOTTEN_AFTER = 20


class RecentCosts:
    """The last 32 times of one way, in nanoseconds.

    `upper_ns` is what nearly all of them kept to.  A way that is avoided because of it is not measured any more, so
    that one bad moment would close it for ever: every 20th time that it is avoided its longest time is forgotten.
    """

    def __init__(self) -> None:
        self._in_time_order: deque[int] = deque()
        self._sorted: list[int] = []
        self._avoided = 0

    def __len__(self) -> int:
        return len(self._sorted)

    @property
    def upper_ns(self) -> int:
        """The longest time but one; 0 where nothing is known, since only going there tells."""
        if not self._sorted:
            return 0
        return self._sorted[max(0, len(self._sorted) - 1 - _EXCEEDED_BY)]

    def add(self, cost_ns: int) -> None:
        """The way was gone, and took this."""
        if len(self._sorted) == _KEPT:
            self._drop(self._in_time_order.popleft())
        self._in_time_order.append(cost_ns)
        insort(self._sorted, cost_ns)
        self._avoided = 0

    def avoid(self) -> None:
        """The way was too long for what time was left."""
        self._avoided += 1
        if self._avoided == _FORGOTTEN_AFTER and len(self._sorted) > 1:
            self._in_time_order.remove(self._sorted.pop())
            self._avoided = 0

    def _drop(self, cost_ns: int) -> None:
        del self._sorted[bisect_left(self._sorted, cost_ns)]
