"""Which routes are measured."""

from __future__ import annotations

import numpy as np

from edge.network import Route


def landmark_routes(gates: int) -> list[Route]:
    """The route that keeps everything, the one that keeps nothing, and those that drop a single block."""
    singles = ("1" * gate + "0" + "1" * (gates - gate - 1) for gate in range(gates))
    return list(dict.fromkeys(("1" * gates, "0" * gates, *singles)))


def choose_routes(gates: int, count: int | None, seed: int = 0) -> list[Route]:
    """The landmarks, then others drawn with a seed until there are `count`; all of them for None.

    A smaller choice is the beginning of a larger one.  The landmarks are there even where `count` is less.
    """
    wanted = 2**gates if count is None else min(count, 2**gates)
    routes = dict.fromkeys(landmark_routes(gates))
    generator = np.random.default_rng(seed)
    while len(routes) < wanted:
        routes["".join("01"[bit] for bit in generator.integers(0, 2, gates))] = None
    return list(routes)
