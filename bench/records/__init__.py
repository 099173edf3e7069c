"""The folder of a run: run.json says what was run, frames.csv holds a row for each frame and network,
and goes on in frames-0001.csv, ...

Rows are appended while the run goes on, so that a run that is killed or out of disk keeps what it measured.
"""

from bench.records.reader import read_run
from bench.records.run import Arrivals, FullAnswers, FullTimes, RecordsError, Run, with_full_answers
from bench.records.writer import RunWriter, refuse_used

__all__ = [
    "Arrivals",
    "FullAnswers",
    "FullTimes",
    "RecordsError",
    "Run",
    "RunWriter",
    "read_run",
    "refuse_used",
    "with_full_answers",
]
