"""How much of a network's cost its exits save, as Hong et al. 2021 ("A Panda? No, It's a Sloth") measure slowdowns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.exits.table import ExitTable, outcome

_THRESHOLDS = np.arange(1, 20) / 20


@dataclass(frozen=True, slots=True)
class Efficacy:
    """The saved share of the cost, frame by frame (n,); the mean of each is the efficacy.

    `trapezoid` is DeepSloth's: the area under the share of frames that have left by a share of the cost, joined by
    straight lines as if frames left between exits too.  `step` is what is really saved, 1 - the cost of the exit taken.
    """

    trapezoid: NDArray[np.float64]
    step: NDArray[np.float64]


def efficacy(taken: ArrayLike, cost_shares: ArrayLike) -> Efficacy:
    """For frames that left at exits `taken` (n,), where leaving at each exit costs `cost_shares` (exits,) of the whole.

    Raises:
        ValueError: the shares do not rise to 1, or an exit is none of theirs.
    """
    exits, shares = np.asarray(taken, np.int64), np.asarray(cost_shares, np.float64)
    if not len(shares) or shares[0] < 0 or np.any(np.diff(shares) < 0) or not np.isclose(shares[-1], 1.0):
        raise ValueError(f"cost shares rise from 0 to 1 at the last exit, and are not {shares.tolist()}")
    if np.any((exits < 0) | (exits >= len(shares))):
        raise ValueError(f"exits are 0 to {len(shares) - 1}: count the network's own")
    before = np.concatenate(([0.0], shares[:-1]))
    return Efficacy(1 - (before[exits] + shares[exits]) / 2, 1 - shares[exits])


def threshold_for(table: ExitTable, drop: float) -> float | None:
    """The smallest of 0.05, 0.10 ... 0.95 whose accuracy is above (1 - `drop`) of the last exit's, or None.

    DeepSloth's choice of an operating point, for drops of 0.05 and 0.15; one threshold serves all exits.
    """
    wanted = (1 - drop) * float(table.right[:, -1].mean())
    for threshold in _THRESHOLDS:
        if outcome(table, np.full(table.exits - 1, threshold)).accuracy > wanted:
            return float(threshold)
    return None
