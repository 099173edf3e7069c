"""A few images that stand for many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spread(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Where `count` of the images with labels (n,) lie, rising, (count,) or all n: as even over the classes as can be.

    Tracks, folders and recorded streams may come sorted by class, their first images all of one.  Which image of a
    class, and which classes where there are more than `count`, is drawn from `seed`.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    # How many of its class were drawn before each.
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        turn[own] = np.arange(len(own))
    chosen = order[np.argsort(turn[order], kind="stable")][:count]
    return np.sort(chosen)
