"""Reads what the sampler wrote; a run folder may come from anywhere."""

from __future__ import annotations

import csv
import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.energy.trace import Trace
from bench.records import RecordsError
from devices.boards.sampler import COLUMNS, DESCRIPTION_FILE, MOST_READINGS_BYTES, READINGS_FILE, SCHEMA

MOST_DESCRIPTION_BYTES = 1 << 20
# 146 years; a sum of two still fits 64 bits.
MOST_NS = 1 << 62


@dataclass(frozen=True, slots=True)
class Meter:
    """Sensors that were sampled together; `total` names those whose sum is all that the `scope` draws."""

    name: str
    scope: str
    period_s: float
    rails: tuple[str, ...]
    total: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PowerRecord:
    """What the sensors said, by name and in time order; `problem` is what befell the sampler."""

    meters: tuple[Meter, ...]
    traces: dict[str, Trace]
    idle_ns: tuple[int, int] | None
    problem: str | None


def read_power(folder: Path) -> PowerRecord | None:
    """The readings of a run, as far as they came; None for a run without them.

    Raises:
        RecordsError: the files hold what no sampler wrote.
    """
    path = folder / DESCRIPTION_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(_bounded(path, MOST_DESCRIPTION_BYTES))
        meters, kinds, idle_ns, problem = _described(content)
    except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        raise RecordsError(f"{path} is no description of sensors ({error}): restore it from a copy") from None
    readings = folder / READINGS_FILE
    traces = _traces(readings, kinds) if kinds and readings.is_file() else {}
    return PowerRecord(meters, traces, idle_ns, problem)


def _described(
    content: Any,
) -> tuple[tuple[Meter, ...], dict[str, str], tuple[int, int] | None, str | None]:
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    problem = content.get("problem")
    if problem is not None and "schema" not in content:
        # The sampler never came as far as to describe itself.
        return (), {}, None, str(problem)
    if content["schema"] != SCHEMA:
        raise ValueError(f"schema {content['schema']!r} where this version reads {SCHEMA}")
    kinds = {str(name): str(kind) for name, kind in content["sensors"].items()}
    meters = tuple(
        Meter(
            str(meter["name"]),
            str(meter["scope"]),
            float(meter["period_s"]),
            tuple(map(str, meter["rails"])),
            tuple(map(str, meter["total"])),
        )
        for meter in content["meters"]
    )
    for meter in meters:
        if not (math.isfinite(meter.period_s) and meter.period_s > 0):
            raise ValueError(f"meter {meter.name} has no period")
        if unknown := {*meter.rails, *meter.total} - {*kinds}:
            raise ValueError(f"meter {meter.name} names a sensor that is not there: {min(unknown)}")
    idle_ns = None
    if content.get("idle_ns") is not None:
        begin, end = (int(moment) for moment in content["idle_ns"])
        if not 0 <= begin < end < MOST_NS:
            raise ValueError("idle_ns is no span of time")
        idle_ns = begin, end
    return meters, kinds, idle_ns, None if problem is None else str(problem)


def _traces(path: Path, kinds: dict[str, str]) -> dict[str, Trace]:
    times = {name: array("q") for name in kinds}
    values = {name: array("d") for name in kinds}
    try:
        for cells in _rows(path):
            moment, name, value = cells
            times[name].append(_nanoseconds(moment))
            values[name].append(float(value) if value else math.nan)
    except (ValueError, KeyError, csv.Error) as error:
        raise RecordsError(f"{path} holds a row that no sampler wrote ({error}): restore it from a copy") from None
    return {
        name: Trace.of(kind, np.frombuffer(times[name], np.int64), np.frombuffer(values[name], np.float64))
        for name, kind in kinds.items()
    }


def _rows(path: Path) -> Iterator[list[str]]:
    text = _bounded(path, MOST_READINGS_BYTES).decode("utf-8", "replace")
    # A sampler that was killed leaves half a line.
    rows = csv.reader(text[: text.rfind("\n")].split("\n"))
    if tuple(next(rows, ())) != COLUMNS:
        raise ValueError(f"the columns are not {', '.join(COLUMNS)}")
    yield from rows


def _nanoseconds(cell: str) -> int:
    moment = int(cell)
    if not 0 <= moment < MOST_NS:
        raise ValueError(f"{cell[:40]} is no time")
    return moment


def _bounded(path: Path, most_bytes: int) -> bytes:
    with open(path, "rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"it is larger than the {most_bytes >> 20} MiB that are read")
    return content
