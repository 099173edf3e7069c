"""One frame's record as one row of frames.csv, and back."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, get_args

from bench.timeline import FrameRecord, Plan, Twin

COLUMNS = FrameRecord._fields
# Columns were added behind these; a folder from before them has fewer.
FEWEST_COLUMNS = 19

# A path has at most 4096 bytes; what is longer came from a library's error message and is cut.
LONGEST_TEXT = 4096

# What would end a line, hide in it or start a formula in a spreadsheet is written \uXXXX, and so is the backslash.
_UNSAFE = re.compile("[\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|^[=+\\-@\uff1d\uff0b\uff0d\uff20]")
_ESCAPED = re.compile(r"\\u([0-9a-f]{4})")
_INTEGER = re.compile(r"-?[0-9]{1,19}")

# 36 years; the sum of a frame's spans still fits 64 bits.
MOST_NS = 1 << 60
# 12 days at 60 frames a second.
MOST_ARRIVALS = 1 << 26
# No network has as many; the report has a line for each.
MOST_EXITS = 1000


def cells_of(record: FrameRecord) -> list[str | int | None]:
    """The row of a record: a bool is 0 or 1, text on one line and without formulas; None, which `csv` leaves empty."""
    cells: list[str | int | None] = list(record)
    cells[_WARM_UP] = int(record.warm_up)
    for index in _TEXTS:
        text = cells[index]
        # Most are words and numbers, which need no search.
        if not isinstance(text, str) or (len(text) <= LONGEST_TEXT and text.isalnum()):
            continue
        if len(text) > LONGEST_TEXT or _UNSAFE.search(text):
            cells[index] = _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text[:LONGEST_TEXT])
    return cells


def record_of(cells: list[str], columns: int = len(COLUMNS)) -> FrameRecord:
    """The record of a row of the first so many columns.

    Raises:
        ValueError: it is no row; says which column is wrong.
    """
    if len(cells) != columns:
        raise ValueError(f"{len(cells)} columns instead of {columns}")
    values: list[Any] = []
    try:
        for cell, parse in zip(cells, _PARSERS, strict=False):
            values.append(parse(cell))
    except ValueError:
        raise _misfit(cells, len(values)) from None
    record = FrameRecord(*values)
    if record.predicted is not None and record.inference_ns == 0:
        raise _misfit(cells, COLUMNS.index("inference_ns"))
    return record


def _misfit(cells: list[str], column: int) -> ValueError:
    return ValueError(f"{cells[column][:40]!r} does not fit the column {COLUMNS[column]}")


def _text(cell: str) -> str:
    # Rows share their texts, which keeps a long run small in memory.
    return sys.intern(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), cell) if "\\" in cell else cell)


def _integer(cell: str) -> int:
    if not _INTEGER.fullmatch(cell) or not -(1 << 63) < (number := int(cell)) < 1 << 63:
        raise ValueError
    return number


def _below(limit: int) -> Callable[[str], int]:
    def parse(cell: str) -> int:
        number = _integer(cell)
        if not 0 <= number < limit:
            raise ValueError
        return number

    return parse


def _choice(*choices: str) -> Callable[[str], str]:
    allowed = {choice: choice for choice in choices}

    def parse(cell: str) -> str:
        if cell not in allowed:
            raise ValueError
        return allowed[cell]

    return parse


def _optional(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda cell: None if cell == "" else parse(cell)


_PARSER_OF_TYPE: dict[str, Callable[[str], Any]] = {
    "int": _integer,
    "int | None": _optional(_integer),
    "bool": lambda cell: _choice("0", "1")(cell) == "1",
    "str": _text,
    "str | None": _optional(_text),
    "Plan": _choice(*get_args(Plan)),
    "Twin | None": _optional(_choice(*get_args(Twin))),
}


def _parser_of(column: str, kind: str) -> Callable[[str], Any]:
    if column.endswith("_ns"):
        parser = _below(MOST_NS)
    elif column == "exit":
        parser = _below(MOST_EXITS)
    elif column in ("sequence", "pair"):
        parser = _below(MOST_ARRIVALS)
    else:
        return _PARSER_OF_TYPE[kind]
    return _optional(parser) if kind.endswith("None") else parser


# Annotations are texts in that module.
_TYPES = [getattr(kind, "__forward_arg__", kind) for kind in FrameRecord.__annotations__.values()]
_PARSERS = [_parser_of(name, str(kind)) for name, kind in zip(COLUMNS, _TYPES, strict=True)]
_TEXTS = [index for index, kind in enumerate(_TYPES) if str(kind).startswith("str")]
_WARM_UP = COLUMNS.index("warm_up")
