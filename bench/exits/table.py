"""What every exit says of every frame, and what follows for any thresholds: a network is run once for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The threshold of an exit that is not asked.
NEVER = float("inf")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ExitTable:
    """Frames in rows, exits in columns, the last exit included.

    `certainty` (frames, exits) is larger where an exit is surer; `right` (frames, exits) whether its answer is that of
    the label.  `cost_ms` (exits,) is what a frame typically takes (the median) that leaves there after every exit
    before was asked, decisions included; `full_ms` that of the network that runs to its end and asks nobody.
    """

    certainty: Floats
    right: NDArray[np.bool_]
    cost_ms: Floats
    full_ms: float

    @property
    def frames(self) -> int:
        return len(self.certainty)

    @property
    def exits(self) -> int:
        return int(self.certainty.shape[1])

    @property
    def ask_ms(self) -> float:
        """What it costs to ask an exit, head and decision: of all together the same for each, as they are small."""
        return max(0.0, (float(self.cost_ms[-1]) - self.full_ms) / (self.exits - 1))

    def of_frames(self, rows: slice) -> ExitTable:
        """The table of some of the frames, at the same costs."""
        return ExitTable(self.certainty[rows], self.right[rows], self.cost_ms, self.full_ms)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What thresholds make of a table: where each frame leaves (frames,), whether it is right, and the mean time."""

    exit: NDArray[np.int64]
    right: NDArray[np.bool_]
    mean_ms: float

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


def outcome(table: ExitTable, thresholds: Floats, *, most_confident: bool = False) -> Outcome:
    """Every frame leaves at the first exit whose certainty is at least its threshold (exits - 1,), else at the last.

    With `most_confident` the surest of the exits asked answers where none was sure enough.
    """
    fires = table.certainty[:, :-1] >= thresholds
    leaves = np.where(fires.any(1), fires.argmax(1), table.exits - 1)
    answers = leaves
    if most_confident:
        asked = np.where(np.append(thresholds, 0.0) < NEVER, table.certainty, -NEVER)
        answers = np.where(fires.any(1), leaves, asked.argmax(1))
    costs = leaving_costs(table, thresholds)
    return Outcome(leaves, table.right[np.arange(table.frames), answers], float(costs[leaves].mean()))


def oracle(table: ExitTable) -> Outcome:
    """The best that any thresholds could do: every frame leaves at the first exit that is right, else at the last."""
    leaves = np.where(table.right.any(1), table.right.argmax(1), table.exits - 1)
    right: NDArray[np.bool_] = np.any(table.right, axis=1)
    return Outcome(leaves, right, float(table.cost_ms[leaves].mean()))


def leaving_costs(table: ExitTable, thresholds: Floats) -> Floats:
    """Milliseconds of a frame that leaves at each exit (exits,), where those with threshold NEVER are not asked."""
    not_asked = np.concatenate(([0], np.cumsum(thresholds == NEVER)))
    return table.cost_ms - table.ask_ms * not_asked


def break_even_shares(table: ExitTable) -> list[float | None]:
    """For each exit but the last, the share of frames that must leave there for asking all of them to pay.

    The others run to the end and have paid for every head; None where even all frames would not pay.
    """
    last_ms = float(table.cost_ms[-1])
    shares: list[float | None] = []
    for cost_ms in table.cost_ms[:-1].tolist():
        lost_ms, won_ms = last_ms - table.full_ms, last_ms - cost_ms
        share = max(0.0, lost_ms / won_ms) if won_ms > 0 else 1.0 if lost_ms <= 0 else 2.0
        shares.append(share if share <= 1 else None)
    return shares
