"""What a run folder holds, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.frames import MISSING, FrameTable
from bench.machine_findings import Conditions
from bench.timeline import FrameRecord

SCHEMA = 1
RUN_FILE = "run.json"

# A file of rows that can be copied and looked at while the run goes on into the next one.
PIECE_BYTES = 64 << 20
# About 8 million rows, and a document larger than any of ours: what is larger is neither written nor read.
MOST_FRAMES_BYTES = 1 << 30
MOST_RUN_BYTES = 16 << 20

# Per network, the class that the full network gives to frames 0, 1, ...; None where it gives none.
FullAnswers = Mapping[str, Sequence[int | None]]
# Per network, nanoseconds that it and the full network took on some of the frames, one after the other.
FullTimes = Mapping[str, Sequence[tuple[int, int]]]


class RecordsError(Exception):
    """A run folder cannot be written or read: one sentence that says what, where and what to do."""


def frames_file(piece: int) -> str:
    """The name of the file that holds the rows of a piece, 0 being the first."""
    return f"frames-{piece:04}.csv" if piece else "frames.csv"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What became of the frames that came on their own: arrived = processed + dropped + queued.

    `dropped` were replaced by newer ones before they were taken, `queued` still waited at the end; `behind` arrived
    later than they were due, because the source was not ready.
    """

    arrived: int
    processed: int
    dropped: int
    queued: int
    behind: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """A run as read back; not `complete` when it was broken off, or rows are missing at the end.

    `document` is what the writer was given last, checked to be JSON and no further.  `arrivals` is None in closed loop,
    and in a run without its end.
    """

    records: FrameTable
    conditions: Conditions
    document: dict[str, Any]
    complete: bool
    arrivals: Arrivals | None = None
    full_times: FullTimes = field(default_factory=dict)


def with_full_answers(records: Iterable[FrameRecord], answers: FullAnswers) -> FrameTable:
    """The records with `full_predicted` filled in from answers that were computed after the run."""
    table = FrameTable.of(records)
    frames, filled = table.integers("frame"), table.integers("full_predicted").copy()
    for network, classes in answers.items():
        rows = table.of_network(network)
        rows = rows[(frames[rows] >= 0) & (frames[rows] < len(classes))]
        known = np.array([MISSING if each is None else each for each in classes], np.int64)
        filled[rows] = known[frames[rows]]
    return table.replaced("full_predicted", filled)
