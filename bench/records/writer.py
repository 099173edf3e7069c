"""Writes a run folder."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.machine_findings import Conditions
from bench.records.rows import COLUMNS, cells_of
from bench.records.run import (
    MOST_FRAMES_BYTES,
    MOST_RUN_BYTES,
    PIECE_BYTES,
    RUN_FILE,
    SCHEMA,
    Arrivals,
    FullAnswers,
    FullTimes,
    RecordsError,
    frames_file,
)
from bench.timeline import FrameRecord

# Written often enough that a kill costs little, seldom enough that the write does not stand between all frames.
FLUSH_ROWS = 256
FLUSH_SECONDS = 1.0


def refuse_used(folder: Path) -> None:
    """Refuse a folder that holds files; one that is empty or not there yet is free for a run.

    Raises:
        RecordsError: it holds files.
    """
    if folder.is_dir() and next(folder.iterdir(), None) is not None:
        raise RecordsError(f"{folder} already holds files: name a new folder for the run, or empty this one")


class RunWriter:
    """Writes a run folder, which must be new or empty.

        with RunWriter(folder, document) as writer:
            writer.append(record)
            writer.finish(document, conditions)

    run.json holds the document, JSON without NaN: at first what a reader must know if the run is killed, in the end
    what `finish` is given.  The keys `complete` and `records` are the writer's.

    Rows reach the operating system every 256 rows and with the first row after a second; `flush` does it at once, for
    a pause in the frames.  They are forced to the disk only at the end: on a memory card that takes a second, which
    frames would wait for, and would save rows from a power cut alone.  A file that has grown to 64 MiB is followed by
    the next: frames.csv, frames-0001.csv, ...

    Raises:
        RecordsError: the folder cannot be made, holds files, cannot be written, or would hold more than `read_run`
            reads; rows written before are kept.
    """

    def __init__(self, folder: Path, document: dict[str, Any]) -> None:
        self.folder = folder
        self._rows = 0
        self._pieces = self._piece_bytes = self._frames_bytes = 0
        self._pending = io.StringIO(newline="")
        self._pending_rows = 0
        self._csv = csv.writer(self._pending, lineterminator="\n")
        self._flushed_s = time.monotonic()
        with self._stated():
            folder.mkdir(parents=True, exist_ok=True)
            refuse_used(folder)
            self._frames: io.FileIO | None = self._next_piece()
        self._write_run(document, complete=False, records={})

    def append(self, record: FrameRecord) -> None:
        """Add one row."""
        self._csv.writerow(cells_of(record))
        self._pending_rows += 1
        if self._pending_rows >= FLUSH_ROWS or time.monotonic() - self._flushed_s >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Hand all rows to the operating system, which keeps them if this process dies."""
        if self._frames is None:
            raise RecordsError(f"{self.folder}: the records are closed, so no more rows can be added")
        content = memoryview(self._pending.getvalue().encode())
        self._pending.seek(0)
        self._pending.truncate()
        self._frames_bytes += len(content)
        try:
            self._check_size(frames_file(0), self._frames_bytes, MOST_FRAMES_BYTES)
            with self._stated():
                if self._piece_bytes + len(content) > PIECE_BYTES and content:
                    self._frames.close()
                    self._frames = self._next_piece()
                self._piece_bytes += len(content)
                _write_whole(self._frames, content)
        except RecordsError:
            self._frames.close()
            self._frames = None
            raise
        self._rows += self._pending_rows
        self._pending_rows = 0
        self._flushed_s = time.monotonic()

    def finish(
        self,
        document: dict[str, Any],
        conditions: Conditions | None = None,
        *,
        full_answers: FullAnswers | None = None,
        full_times: FullTimes | None = None,
        arrivals: Arrivals | None = None,
        complete: bool = True,
    ) -> None:
        """End the run: all rows and the document are on the disk when this returns.

        `full_answers` and `full_times` are those that were found after the run.  A run that was interrupted in good
        order is finished with `complete=False`.
        """
        self.flush()
        self.close()
        with self._stated():
            for piece in range(self._pieces):
                _sync(self.folder / frames_file(piece))
        records = {
            "conditions": None if conditions is None else asdict(conditions),
            "full_answers": {name: list(answers) for name, answers in (full_answers or {}).items()},
            "full_times": {name: list(times) for name, times in (full_times or {}).items()},
            "arrivals": None if arrivals is None else asdict(arrivals),
        }
        self._write_run(document, complete, records)

    def close(self) -> None:
        """Flush and close; without `finish` before, the run stays incomplete."""
        if self._frames is not None:
            self.flush()
            self._frames.close()
            self._frames = None

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next_piece(self) -> io.FileIO:
        """A new file of rows, with its header in it."""
        piece = open(self.folder / frames_file(self._pieces), "xb", buffering=0)  # noqa: SIM115
        header = ",".join(COLUMNS).encode() + b"\n"
        self._pieces += 1
        self._piece_bytes = len(header)
        self._frames_bytes += len(header)
        try:
            _write_whole(piece, memoryview(header))
        except OSError:
            piece.close()
            raise
        return piece

    def _write_run(self, document: dict[str, Any], complete: bool, records: dict[str, Any]) -> None:
        records = {"schema": SCHEMA, "rows": self._rows, **records}
        text = json.dumps({**document, "complete": complete, "records": records}, indent=1, allow_nan=False)
        self._check_size(RUN_FILE, len(text), MOST_RUN_BYTES)
        path = self.folder / RUN_FILE
        unfinished = path.with_suffix(".json.tmp")
        try:
            with self._stated():
                with open(unfinished, "w", encoding="ascii") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(unfinished, path)
                _sync(self.folder)
        except RecordsError:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise

    def _check_size(self, name: str, size_bytes: int, most_bytes: int) -> None:
        """What would not be read again is not written."""
        if size_bytes > most_bytes:
            raise RecordsError(
                f"{self.folder}: {name} would be larger than the {most_bytes >> 20} MiB that are read; the "
                f"{self._rows} rows before are kept: make shorter runs"
            )

    @contextlib.contextmanager
    def _stated(self) -> Iterator[None]:
        """Turns an operating system's error into one sentence."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            kept = f"; the {self._rows} rows before are kept" if self._rows else ""
            raise RecordsError(
                f"{self.folder}: the records cannot be written ({reason}){kept}: choose a folder with room that you "
                "may write to"
            ) from error


def _write_whole(file: io.FileIO, content: memoryview) -> None:
    while content:
        content = content[file.write(content) :]


def _sync(path: Path) -> None:
    """Makes the content of a file, or the names in a folder, last through a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
