"""Reads a run folder, which may come from anywhere."""

from __future__ import annotations

import csv
import io
import json
import math
import stat
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from bench.frames import FrameTable, TableBuilder
from bench.machine_findings import Conditions
from bench.records.rows import COLUMNS, FEWEST_COLUMNS, MOST_ARRIVALS, record_of
from bench.records.run import (
    MOST_FRAMES_BYTES,
    MOST_RUN_BYTES,
    RUN_FILE,
    SCHEMA,
    Arrivals,
    RecordsError,
    Run,
    frames_file,
    with_full_answers,
)

LONGEST_LINE_BYTES = 1 << 17


def read_run(folder: Path) -> Run:
    """A run from its folder, whole or broken off; its content is checked, bounded in size and never executed.

    Raises:
        RecordsError: it is no run folder, or holds something that no run wrote.
    """
    document = _read_json(folder)
    path = folder / RUN_FILE
    complete, of_records = document.pop("complete", None), document.pop("records", None)
    if not isinstance(of_records, dict):
        raise RecordsError(f"{path} says nothing of records: name the folder of a run")
    if of_records.get("schema") != SCHEMA:
        raise RecordsError(
            f"{path} describes records of schema {of_records.get('schema')!r} where this version reads {SCHEMA}: read "
            "them with the version that wrote them"
        )
    conditions = _conditions(of_records.get("conditions"), f"{path}: conditions")
    full_answers = of_records.get("full_answers", {})
    if not _are_full_answers(full_answers):
        raise RecordsError(f"{path}: full_answers must hold a list of classes per network: restore it from a copy")
    full_times = of_records.get("full_times", {})
    if not _are_full_times(full_times):
        raise RecordsError(f"{path}: full_times must hold a list of pairs per network: restore it from a copy")
    arrivals = _arrivals(of_records.get("arrivals"), f"{path}: arrivals")
    records, whole = _read_frames(folder)
    whole = whole and complete is True and of_records.get("rows") == len(records)
    return Run(with_full_answers(records, full_answers), conditions, document, whole, arrivals, full_times)


def _read_json(folder: Path) -> dict[str, Any]:
    path = folder / RUN_FILE
    _check_file(path, MOST_RUN_BYTES)
    try:
        content = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError, OSError) as error:
        raise RecordsError(f"{path} cannot be read ({error}): restore it from a copy") from None
    if not isinstance(content, dict):
        raise RecordsError(f"{path} holds no JSON object: restore it from a copy")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _check_file(path: Path, most_bytes: int) -> int:
    """The size of a regular file of at most so many bytes."""
    try:
        status = path.stat()
    except OSError as error:
        reason = error.strerror or str(error)
        raise RecordsError(f"{path.parent} is no run folder ({path.name}: {reason}): name that of a run") from None
    if not stat.S_ISREG(status.st_mode):
        raise RecordsError(f"{path} is no regular file: name the folder of a run")
    if status.st_size > most_bytes:
        raise RecordsError(f"{path} is larger than the {most_bytes >> 20} MiB that are read: make shorter runs")
    return status.st_size


def _read_frames(folder: Path) -> tuple[FrameTable, bool]:
    """The records of all pieces, and whether their last lines were whole."""
    paths = [folder / frames_file(0)]
    while (following := folder / frames_file(len(paths))).exists():
        paths.append(following)
    room_bytes = MOST_FRAMES_BYTES
    for path in paths:
        room_bytes -= _check_file(path, room_bytes)
    builder = TableBuilder()
    whole = [_read_piece(path, builder) for path in paths]
    return builder.table(), all(whole)


def _read_piece(path: Path, builder: TableBuilder) -> bool:
    """Adds the rows of a file; whether its last line was whole."""
    number = columns = 0
    try:
        with open(path, "rb") as file:
            lines = _WholeLines(file)
            rows = csv.reader(lines, strict=True)
            for number, cells in enumerate(rows, 1):
                if number != rows.line_num:
                    raise ValueError("a quote is not closed")
                if number > 1:
                    builder.append(record_of(cells, columns))
                elif len(cells) < FEWEST_COLUMNS or tuple(cells) != COLUMNS[: len(cells)]:
                    raise ValueError("these are not the columns of this version")
                else:
                    columns = len(cells)
                # What goes wrong while the next line is fetched is that line's fault.
                number += 1
    except (ValueError, csv.Error) as error:
        raise RecordsError(f"{path}, line {max(number, 1)}: {error}: restore the file from a copy") from None
    except OSError as error:
        raise RecordsError(f"{path} cannot be read ({error.strerror}): check the disk and your rights") from None
    return not lines.cut


class _WholeLines:
    """The lines of a file as text; a last one that was cut off is left out and sets `cut`."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.cut = False

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(LONGEST_LINE_BYTES):
            if not line.endswith(b"\n"):
                if len(line) == LONGEST_LINE_BYTES:
                    raise ValueError(f"longer than {LONGEST_LINE_BYTES} bytes")
                self.cut = True
                return
            yield line.decode()


def _conditions(content: object, where: str) -> Conditions:
    """Conditions from parsed JSON; keys that a later version added are passed over."""
    if content is None:
        return Conditions()
    if not isinstance(content, dict):
        raise RecordsError(f"{where} must be an object: restore the file from a copy")
    values: dict[str, Any] = {}
    for field in fields(Conditions):
        if field.name in content:
            value = content[field.name]
            if not _FITS[str(field.type)](value):
                raise RecordsError(f"{where}.{field.name} is no {field.type}: restore the file from a copy")
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return Conditions(**values)


def _arrivals(content: object, where: str) -> Arrivals | None:
    """Counts from parsed JSON, which must add up."""
    if content is None:
        return None
    given = content if isinstance(content, dict) else {}
    counts = [given.get(field.name, -1) for field in fields(Arrivals)]
    if not all(_is_integer(count) and 0 <= count < MOST_ARRIVALS for count in counts):
        raise RecordsError(f"{where} must be an object of counts: restore the file from a copy")
    arrivals = Arrivals(*counts)
    if arrivals.arrived != arrivals.processed + arrivals.dropped + arrivals.queued:
        raise RecordsError(f"{where} do not add up: restore the file from a copy")
    return arrivals


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_class(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31


def _is_number(value: object) -> bool:
    return _is_integer(value) or (isinstance(value, float) and math.isfinite(value))


_FITS: dict[str, Callable[[Any], bool]] = {
    "int | None": lambda value: value is None or _is_integer(value),
    "float | None": lambda value: value is None or _is_number(value),
    "bool | None": lambda value: value is None or isinstance(value, bool),
    "tuple[str, ...]": lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
}


def _are_full_answers(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(answers, list) and all(answer is None or _is_class(answer) for answer in answers)
        for answers in value.values()
    )


def _are_full_times(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(times, list) and all(_is_pair_of_times(pair) for pair in times) for times in value.values()
    )


def _is_pair_of_times(pair: object) -> bool:
    # More than a day is no inference, and sums of these must stay within 64 bits.
    return isinstance(pair, list) and len(pair) == 2 and all(type(each) is int and 0 < each < 1 << 47 for each in pair)
