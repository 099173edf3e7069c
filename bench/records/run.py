"""What a run folder holds, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.timeline import FrameRecord
from bench.verdict import Conditions

SCHEMA = 1
FRAMES_FILE = "frames.csv"
RUN_FILE = "run.json"

# About 10 million rows, and a document larger than any of ours: what is larger is neither written nor read.
MOST_FRAMES_BYTES = 1 << 30
MOST_RUN_BYTES = 16 << 20

# Per network, the class that the full network gives to frames 0, 1, ...; None where it gives none.
FullAnswers = Mapping[str, Sequence[int | None]]


class RecordsError(Exception):
    """A run folder cannot be written or read: one sentence that says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run as read back; not `complete` when it was broken off, or rows are missing at the end.

    `document` is what the writer was given last, checked to be JSON and no further.
    """

    records: list[FrameRecord]
    conditions: Conditions
    document: dict[str, Any]
    complete: bool


def with_full_answers(records: Iterable[FrameRecord], answers: FullAnswers) -> list[FrameRecord]:
    """The records with `full_predicted` filled in from answers that were computed after the run."""
    return [_with_full_answer(record, answers.get(record.network, ())) for record in records]


def _with_full_answer(record: FrameRecord, answers: Sequence[int | None]) -> FrameRecord:
    if record.warm_up or not 0 <= record.frame < len(answers):
        return record
    return record._replace(full_predicted=answers[record.frame])
