"""Power and energy sensors behind one small interface: rails that are read in microseconds, grouped in meters."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Kind = Literal["power", "energy"]
Scope = Literal["board", "cpu package", "gpu"]

# No part of a machine that this program runs on draws as much; a counter that says so was reset, or is garbage.
MOST_WATTS = 10_000.0
# Counters advance in steps of their own, graphics cards' every 0.1 s; two readings may have a whole step between them.
_LONGEST_STEP_S = 0.5
# 64 bits are 20 digits; what fills more than this is no number of a sensor.
_MOST_BYTES = 32


class Reader(Protocol):
    """What stands behind a rail; it may hold a file open until `close`, and opens it again where it is read later."""

    def read(self) -> float | None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Rail:
    """One supply line that a sensor measures, or one counter of energy.

    `read` gives milliwatts where `kind` is "power"; where it is "energy", millijoules that never fall: differences
    count, the counter's own wrap is taken care of.  None is a reading that could not be had; the next one may succeed.
    """

    name: str
    kind: Kind
    reader: Reader

    def read(self) -> float | None:
        return self.reader.read()


@dataclass(frozen=True, slots=True)
class PowerMeter:
    """Rails that are sampled together.

    `total` names the rails whose sum is all that the `scope` draws (some rails are part of others); it is empty where
    nothing measures the whole.  Sampling faster than every `period_s` seconds shows the same values again, or costs
    more than it tells.
    """

    name: str
    rails: tuple[Rail, ...]
    total: tuple[str, ...]
    period_s: float
    scope: Scope

    def close(self) -> None:
        """Let go of the files that its rails hold open."""
        for rail in self.rails:
            rail.reader.close()


class NumberFile:
    """A file of the kernel that holds one number, read afresh each time without opening it again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def read(self) -> float | None:
        """The number; None where the file is missing, forbidden, gone, or holds anything else."""
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            text = os.pread(self._descriptor, _MOST_BYTES, 0)
            return int(text) if len(text) < _MOST_BYTES else None
        except ValueError:
            return None
        except OSError:
            # A sensor that went away comes back under the same path, but not in the file that is open.
            self.close()
            return None

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Scaled:
    """A number file in another unit: microwatts with the factor 1e-3 are milliwatts."""

    def __init__(self, path: Path, factor: float) -> None:
        self._file = NumberFile(path)
        self._factor = factor
        self.close = self._file.close

    def read(self) -> float | None:
        value = self._file.read()
        return None if value is None else value * self._factor


class VoltageTimesCurrent:
    """Milliwatts from a file in millivolts and one in milliamperes."""

    # A bus voltage of 0 V is a rail that is off; above this the chips that are read here (INA3221) cannot measure.
    MOST_MILLIVOLTS = 33_000

    def __init__(self, millivolts: Path, milliamperes: Path) -> None:
        self._voltage = NumberFile(millivolts)
        self._current = NumberFile(milliamperes)

    def read(self) -> float | None:
        voltage, current = self._voltage.read(), self._current.read()
        if voltage is None or current is None or not 0 <= voltage <= self.MOST_MILLIVOLTS:
            return None
        return voltage * current / 1000

    def close(self) -> None:
        self._voltage.close()
        self._current.close()


class EnergyCounter:
    """Millijoules that never fall, from a counter that starts again from 0 beyond `largest`.

    `factor` turns the counter's unit into millijoules.  A step that no machine could have drawn in its time (a reset, a
    garbled reading) reads as None once; counting goes on from there, without it.
    """

    def __init__(
        self, counter: Reader, factor: float, largest: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._counter = counter
        self._factor = factor
        self._largest = largest
        self._clock = clock
        self._last: tuple[float, float] | None = None
        self._total = 0.0
        self.close = counter.close

    def read(self) -> float | None:
        raw, now_s = self._counter.read(), self._clock()
        if raw is None or raw < 0:
            return None
        if self._last is not None:
            last, last_s = self._last
            step = raw - last if raw >= last or self._largest is None else raw - last + self._largest
            if not 0 <= step * self._factor <= MOST_WATTS * 1000 * (now_s - last_s + _LONGEST_STEP_S):
                self._last = raw, now_s
                return None
            self._total += step * self._factor
        self._last = raw, now_s
        return self._total


@dataclass(frozen=True, slots=True)
class MeterReading:
    """What the rails of a meter drew, in milliwatts and in their order."""

    meter: PowerMeter
    milliwatts: tuple[float | None, ...]

    @property
    def total_milliwatts(self) -> float | None:
        """All that the meter's scope drew; None where nothing measures the whole, or a part of it could not be read."""
        drawn = dict(zip((rail.name for rail in self.meter.rails), self.milliwatts, strict=True))
        parts = [drawn[name] for name in self.meter.total]
        known = [part for part in parts if part is not None]
        return sum(known) if parts and len(known) == len(parts) else None


def read_meters(
    meters: tuple[PowerMeter, ...],
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[MeterReading, ...]:
    """What every rail draws: powers as they are after `seconds`, energies as their mean over that time."""
    rails = [rail for meter in meters for rail in meter.rails if rail.kind == "energy"]
    before = {id(rail): (rail.read(), clock()) for rail in rails}
    if rails:
        sleep(seconds)

    def milliwatts(rail: Rail) -> float | None:
        now, now_s = rail.read(), clock()
        if rail.kind == "power" or now is None:
            return now
        earlier, earlier_s = before[id(rail)]
        return None if earlier is None or now_s <= earlier_s else (now - earlier) / (now_s - earlier_s)

    return tuple(MeterReading(meter, tuple(milliwatts(rail) for rail in meter.rails)) for meter in meters)
