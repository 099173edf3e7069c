"""Sensors for tests: files of a temporary folder, as a board has them, opened in the sampler's process."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from pathlib import Path

from devices.boards.power import EnergyCounter, NumberFile, PowerMeter, Rail, Scaled


def meters_of(folder: Path, period_s: float = 0.005) -> tuple[PowerMeter, ...]:
    """A board with two rails in microwatts, of which `total` is the whole, and a counter of microjoules."""
    rails = (
        Rail("total", "power", Scaled(folder / "total_uw", 1e-3)),
        Rail("part", "power", Scaled(folder / "part_uw", 1e-3)),
        Rail("counter", "energy", EnergyCounter(NumberFile(folder / "energy_uj"), 1e-3, 1e9)),
    )
    return (PowerMeter("chip", rails, ("total",), period_s, "board"),)


def open_files(folder: Path, period_s: float = 0.005) -> Callable[[], tuple[PowerMeter, ...]]:
    """What an observer is given."""
    for name, value in (("total_uw", 5_000_000), ("part_uw", 2_000_000), ("energy_uj", 0)):
        (folder / name).write_text(f"{value}\n")
    return functools.partial(meters_of, folder, period_s)


def broken() -> tuple[PowerMeter, ...]:
    raise RuntimeError("the bus is on fire")


class Garbled:
    """A reader that says a number, nothing, no number and infinity in turn."""

    def __init__(self) -> None:
        self._sayings = [1000.0, None, math.nan, math.inf]

    def read(self) -> float | None:
        self._sayings.append(saying := self._sayings.pop(0))
        return saying

    def close(self) -> None:
        pass


class Hanging(Garbled):
    """A reader that answers twice and then no more."""

    def __init__(self) -> None:
        self._left = 2

    def read(self) -> float | None:
        self._left -= 1
        if self._left < 0:
            time.sleep(60)
        return 1000.0


def garbled() -> tuple[PowerMeter, ...]:
    return (PowerMeter("chip", (Rail("odd", "power", Garbled()),), ("odd",), 0.002, "board"),)


def hanging() -> tuple[PowerMeter, ...]:
    return (PowerMeter("chip", (Rail("stuck", "power", Hanging()),), ("stuck",), 0.002, "board"),)
