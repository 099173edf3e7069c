"""The process that samples power, heat and clocks beside a run, and writes down what the sensors say.

It starts from a pickled callable on standard input that gives the meters, says "ready" once every sensor has been read,
and ends when standard input does: at the request of the process that started it, or with that one's death, whatever
killed it.  Readings are written as they come, times are those of CLOCK_MONOTONIC, and nothing is judged here.  Only the
standard library is imported, so that the process is small and starts in a tenth of a second.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import pickle
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from devices.boards.power import PowerMeter, Scaled

SCHEMA = 1
DESCRIPTION_FILE = "power.json"
READINGS_FILE = "power.csv"
COLUMNS = ("monotonic_ns", "sensor", "value")
MOST_READINGS_BYTES = 64 * 2**20

# A sampler that took more of a core than this would be part of what it measures: it then samples less often.
MOST_CPU_SHARE = 0.01
# Heat and clocks move slowly, and the price of sampling is looked at as often.
SLOW_PERIOD_S = 1.0
FLUSH_S = 0.25
NICENESS = 10
NANOSECONDS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Sensor:
    """Something to be read; the kind says the unit: power (mW), energy (mJ), celsius, kilohertz, cpu_ns (its own)."""

    name: str
    kind: str
    read: Callable[[], float | None]


@dataclass(frozen=True, slots=True)
class Group:
    """Sensors that are read together, every `period_s` seconds."""

    period_s: float
    sensors: tuple[Sensor, ...]


def groups_of(meters: Sequence[PowerMeter], root: Path) -> list[Group]:
    """What to sample: every meter at its own period; heat, clocks and the sampler's own time once a second."""
    groups = [
        Group(meter.period_s, tuple(Sensor(f"{meter.name}/{rail.name}", rail.kind, rail.read) for rail in meter.rails))
        for meter in meters
    ]
    slow = (*_thermometers(root), *_clocks(root), Sensor("sampler/cpu", "cpu_ns", time.process_time_ns))
    return _with_unique_names([*groups, Group(SLOW_PERIOD_S, slow)])


def describe(meters: Sequence[PowerMeter], groups: Sequence[Group]) -> str:
    """power.json: what the columns of power.csv are, before the first of them is written."""
    of_meters = [
        {
            "name": meter.name,
            "scope": meter.scope,
            "period_s": meter.period_s,
            "rails": [sensor.name for sensor in group.sensors],
            "total": [
                sensor.name for sensor, rail in zip(group.sensors, meter.rails, strict=True) if rail.name in meter.total
            ],
        }
        for meter, group in zip(meters, groups, strict=False)
    ]
    kinds = {sensor.name: sensor.kind for group in groups for sensor in group.sensors}
    return json.dumps({"schema": SCHEMA, "meters": of_meters, "sensors": kinds, "idle_ns": None}, indent=1)


class Readings:
    """Appends to power.csv; `thinning` says how much longer the periods must become so that the file stays bounded."""

    def __init__(self, path: Path, most_bytes: int = MOST_READINGS_BYTES) -> None:
        self.thinning = 1
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._most_bytes = most_bytes
        self._bytes = 0
        self._pending = io.StringIO(newline="")
        self._csv = csv.writer(self._pending, lineterminator="\n")
        self._csv.writerow(COLUMNS)

    def take(self, group: Group) -> None:
        """Read the sensors of a group, each with its own time: a bus takes milliseconds for all of them."""
        for sensor in group.sensors:
            before_ns = time.monotonic_ns()
            value = sensor.read()
            after_ns = time.monotonic_ns()
            known = value is not None and math.isfinite(value)
            self._csv.writerow(((before_ns + after_ns) // 2, sensor.name, value if known else ""))

    def flush(self) -> None:
        """Hand the rows to the operating system, which keeps them if this process dies."""
        room = self._most_bytes - self._bytes
        content = memoryview(self._pending.getvalue().encode("utf-8", "replace"))[:room]
        self._pending.seek(0)
        self._pending.truncate()
        self._bytes += len(content)
        while content:
            content = content[os.write(self._descriptor, content) :]
        # Half of the room, then half of what is left, and so on: the last row never comes, however long the run.
        if self._most_bytes - self._bytes < self._most_bytes / (2 * self.thinning):
            self.thinning *= 2


def sample(groups: Sequence[Group], readings: Readings, stopped: Callable[[float], bool]) -> None:
    """Read every group at its period until `stopped`, which waits so many seconds, says so; read all once more then.

    A period that was missed is not made up for.  The periods grow where sampling takes more than its share of a core.
    """
    stretch = 1.0
    due_ns = [time.monotonic_ns()] * len(groups)
    flush_ns = price_ns = time.monotonic_ns()
    spent_ns = time.process_time_ns()
    while not stopped(max(0, min(due_ns) - time.monotonic_ns()) / NANOSECONDS_PER_S):
        for index, group in enumerate(groups):
            now_ns = time.monotonic_ns()
            if due_ns[index] <= now_ns:
                readings.take(group)
                factor = stretch * readings.thinning if group.period_s < SLOW_PERIOD_S else readings.thinning
                due_ns[index] = max(due_ns[index] + int(group.period_s * factor * NANOSECONDS_PER_S), now_ns)
        now_ns = time.monotonic_ns()
        if now_ns - flush_ns >= FLUSH_S * NANOSECONDS_PER_S:
            flush_ns = now_ns
            readings.flush()
        if now_ns - price_ns >= SLOW_PERIOD_S * NANOSECONDS_PER_S:
            share = (time.process_time_ns() - spent_ns) / (now_ns - price_ns)
            stretch *= max(1.0, share / MOST_CPU_SHARE)
            price_ns, spent_ns = now_ns, time.process_time_ns()
    for group in groups:
        readings.take(group)
    readings.flush()


def main(arguments: Sequence[str]) -> None:
    """`FOLDER ROOT [CORE]`: sample into the folder, on this core alone where one is named."""
    for name in (signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    folder, root = Path(arguments[0]), Path(arguments[1])
    if len(arguments) > 2:
        os.sched_setaffinity(0, {int(arguments[2])})
    else:
        # On a core of its own nothing is to be spared; readings that come late are the greater harm there.
        os.nice(NICENESS)
    # Of the process that started this one, as multiprocessing does it: nothing from outside comes this way.
    meters = tuple(pickle.load(sys.stdin.buffer)())
    groups = groups_of(meters, root)
    description = folder / DESCRIPTION_FILE
    unfinished = description.with_suffix(".json.tmp")
    unfinished.write_text(describe(meters, groups), encoding="ascii")
    readings = Readings(folder / READINGS_FILE)
    for group in groups:
        readings.take(group)
    readings.flush()
    os.replace(unfinished, description)
    print("ready", flush=True)
    try:
        sample(groups, readings, lambda seconds: bool(select.select([sys.stdin], [], [], seconds)[0]))
    finally:
        for meter in meters:
            meter.close()


def _thermometers(root: Path) -> Iterable[Sensor]:
    for folder in sorted(root.glob("sys/class/thermal/thermal_zone[0-9]*"), key=lambda zone: (len(zone.name), zone)):
        yield Sensor(f"thermal/{_label(folder / 'type', folder.name)}", "celsius", Scaled(folder / "temp", 1e-3).read)


def _clocks(root: Path) -> Iterable[Sensor]:
    for folder in sorted(
        root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq"), key=lambda core: (len(str(core)), core)
    ):
        yield Sensor(f"clock/{folder.parent.name}", "kilohertz", Scaled(folder / "scaling_cur_freq", 1.0).read)
    for folder in sorted(root.glob("sys/class/devfreq/*")):
        yield Sensor(f"clock/{folder.name}", "kilohertz", Scaled(folder / "cur_freq", 1e-3).read)


def _label(path: Path, otherwise: str) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip().rstrip("\0") or otherwise
    except OSError:
        return otherwise


def _with_unique_names(groups: Iterable[Group]) -> list[Group]:
    """Names that a row of power.csv can carry, each once: some boards call two of their thermometers alike."""
    taken: set[str] = set()

    def unique(sensor: Sensor) -> Sensor:
        printable = "".join(letter if letter.isprintable() else "?" for letter in sensor.name)
        names = (printable if count == 1 else f"{printable} {count}" for count in range(1, len(taken) + 2))
        name = next(name for name in names if name not in taken)
        taken.add(name)
        return replace(sensor, name=name)

    return [Group(group.period_s, tuple(map(unique, group.sensors))) for group in groups]


if __name__ == "__main__":
    main(sys.argv[1:])
