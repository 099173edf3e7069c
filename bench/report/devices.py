"""A board as text, 80 columns wide, and as a JSON document: what it is, what its sensors say, what they do not."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from bench.report.lines import Line
from devices.boards.base import Absence, CoreClock, DeviceClock, Environment, Load, ThermalZone
from devices.boards.power import MeterReading

SCHEMA = 1
_WIDTH = 80
_NAME = 24


@dataclass(frozen=True, slots=True)
class BoardView:
    """A board at one moment."""

    family: str
    environment: Environment
    load: Load
    readings: tuple[MeterReading, ...]
    absences: tuple[Absence, ...]


def render_board(view: BoardView) -> list[Line]:
    """The lines of the page."""
    blocks = [
        _head(view),
        _clocks(view.load),
        _temperatures(view.load.thermal_zones or ()),
        *(_power(reading) for reading in view.readings),
        _absences(view.absences),
    ]
    return [line for block in blocks if block for line in (*block, ())][:-1]


def board_document(view: BoardView) -> dict[str, Any]:
    """The same as a document; what is not told is null, and `absent` says why."""
    load = asdict(view.load)
    for key, clocks in (("clocks", view.load.clocks), ("device_clocks", view.load.device_clocks)):
        load[key] = clocks and [_clock_document(clock) for clock in clocks]
    return {
        "schema": SCHEMA,
        "family": view.family,
        "environment": asdict(view.environment),
        "load": load,
        "power_meters": [
            {
                "name": reading.meter.name,
                "scope": reading.meter.scope,
                "period_s": reading.meter.period_s,
                "total": list(reading.meter.total),
                "total_mw": reading.total_milliwatts,
                "rails": [
                    {"name": rail.name, "kind": rail.kind, "mw": milliwatts}
                    for rail, milliwatts in zip(reading.meter.rails, reading.milliwatts, strict=True)
                ],
            }
            for reading in view.readings
        ],
        "absent": [asdict(absence) for absence in view.absences],
    }


def _clock_document(clock: CoreClock | DeviceClock) -> dict[str, Any]:
    return {**asdict(clock), "pinned": clock.pinned}


def _head(view: BoardView) -> list[Line]:
    what, load = view.environment, view.load
    lines: list[Line] = [((what.board or what.cpu_model or what.architecture, "title"), (f", {view.family}", ""))]
    told = {
        "system": ", ".join(filter(None, (what.operating_system, what.kernel and f"kernel {what.kernel}"))),
        "JetPack": _jetpack(what),
        "power mode": what.power_mode or "",
        "processor": ", ".join(filter(None, (what.cpu_model, _cores(what), what.architecture))),
        "runs in": " in ".join(filter(None, (what.container, what.virtual_machine))),
        "memory": _memory(what, load),
        "swap": _swap(load),
        "throttled now": _listed(load.throttled),
        "since the start": _listed(load.throttled_before),
        "throttle events": "" if load.throttle_events is None else f"{load.throttle_events:,} since the start",
    }
    for name, text in told.items():
        for row, part in enumerate(textwrap.wrap(text, _WIDTH - _NAME, break_on_hyphens=False)):
            lines.append(((f"{name if row == 0 else '':<{_NAME}}", "title"), (part, "")))
    return lines


def _clocks(load: Load) -> list[Line]:
    rows = [*_core_rows(load.clocks or ()), *_device_rows(load.device_clocks or ())]
    if not rows:
        return []
    title = f"{'clocks in MHz':<{_NAME}}{'now':>10}{'lowest':>8}{'highest':>8}  {'pinned':<7}{'load':>6}  governor"
    return [((title, "title"),), *(((row, ""),) for row in rows)]


def _core_rows(clocks: Iterable[CoreClock]) -> Iterator[str]:
    """A row for neighbouring cores whose clocks move within the same bounds."""

    def bounds(clock: CoreClock) -> tuple[object, ...]:
        return clock.min_khz, clock.max_khz, clock.governor

    for _, group in groupby(clocks, key=bounds):
        cores = list(group)
        first, last = cores[0], cores[-1]
        name = f"core {first.core}"
        if len(cores) > 1:
            whole = last.core - first.core + 1 == len(cores)
            name = f"cores {first.core} to {last.core}" if whole else f"{len(cores)} cores from {first.core}"
        known = sorted({clock.current_khz for clock in cores if clock.current_khz is not None})
        now = "-" if not known else _megahertz(known[0], 1000)
        if len(known) > 1:
            now = f"{_megahertz(known[0], 1000)}-{_megahertz(known[-1], 1000)}"
        low, high = (_megahertz(khz, 1000) for khz in (first.min_khz, first.max_khz))
        yield _clock_row(name, (now, low, high), first.pinned, "-", first.governor)


def _device_rows(clocks: Iterable[DeviceClock]) -> Iterator[str]:
    for clock in clocks:
        frequencies = tuple(_megahertz(hz, 1_000_000) for hz in (clock.current_hz, clock.min_hz, clock.max_hz))
        load = "-" if clock.load is None else f"{clock.load:.0%}"
        yield _clock_row(clock.name, frequencies, clock.pinned, load, clock.governor)


def _clock_row(name: str, frequencies: tuple[str, ...], pinned: bool | None, load: str, governor: str | None) -> str:
    now, low, high = frequencies
    return f"{_name(name)}{now:>10}{low:>8}{high:>8}  {_yes_no(pinned):<7}{load:>6}  {governor or '-'}"


def _name(name: str) -> str:
    return f"  {name[: _NAME - 3]:<{_NAME - 2}}"


def _temperatures(zones: Iterable[ThermalZone]) -> list[Line]:
    lines: list[Line] = [((f"{'temperatures in °C':<{_NAME}}{'now':>10}{'slowed':>8}  trip points", "title"),)]
    for zone in zones:
        now, slowed = (
            "-" if celsius is None else f"{celsius:.1f}" for celsius in (zone.celsius, zone.throttle_celsius)
        )
        trips = ", ".join(f"{trip.kind} {trip.celsius:.1f}" for trip in zone.trips) or "-"
        row = f"{_name(zone.name)}{now:>10}{slowed:>8}  "
        lines += [((line, ""),) for line in textwrap.wrap(row + trips, _WIDTH, subsequent_indent=" " * len(row))]
    return lines if len(lines) > 1 else []


def _power(reading: MeterReading) -> list[Line]:
    meter, total = reading.meter, reading.total_milliwatts
    scope = f"  {meter.scope}, new values every {meter.period_s * 1000:g} ms"
    lines: list[Line] = [((f"{'power in mW':<{_NAME}}{'now':>10}", "title"), (scope, "dim"))]
    for rail, milliwatts in zip(meter.rails, reading.milliwatts, strict=True):
        lines.append(((f"{_name(rail.name)}{_milliwatts(milliwatts):>10}", ""),))
    of = f"  {' + '.join(meter.total)}" if meter.total else "  nothing measures the whole"
    return [*lines, ((f"{_name('total')}{_milliwatts(total):>10}", ""), (of, "dim"))]


def _absences(absences: Iterable[Absence]) -> list[Line]:
    lines: list[Line] = []
    for absence in absences:
        lines.append(((f"  - {absence.what}: {absence.why}", ""),))
        advice = textwrap.wrap(absence.advice or "", _WIDTH - 4, break_on_hyphens=False)
        lines += [((f"    {line}", "dim"),) for line in advice]
    return [(("not told", "title"),), *lines] if lines else []


def _jetpack(what: Environment) -> str:
    if what.l4t_release is None:
        return ""
    return f"{what.jetpack or 'unknown'}, Jetson Linux (L4T) {what.l4t_release}"


def _cores(what: Environment) -> str:
    counted = (("cores", what.cores_present), ("online", what.cores_online), ("usable", what.cores_usable))
    return ", ".join(f"{len(cores)} {name}" for name, cores in counted if cores is not None)


def _memory(what: Environment, load: Load) -> str:
    if what.memory_bytes is None:
        return ""
    free = load.memory_available_bytes
    return _gibibytes(what.memory_bytes) + ("" if free is None else f", {_gibibytes(free)} available")


def _swap(load: Load) -> str:
    if load.swap_total_bytes is None:
        return ""
    if load.swap_total_bytes == 0:
        return "none"
    free = load.swap_free_bytes
    used = "" if free is None else f", {_gibibytes(load.swap_total_bytes - free)} used"
    return _gibibytes(load.swap_total_bytes) + used


def _listed(names: tuple[str, ...] | None) -> str:
    return "" if names is None else ", ".join(names) or "by nothing"


def _yes_no(known: bool | None) -> str:
    return "unknown" if known is None else "yes" if known else "no"


def _megahertz(frequency: int | None, per_megahertz: int) -> str:
    return "-" if frequency is None else f"{frequency / per_megahertz:.0f}"


def _milliwatts(milliwatts: float | None) -> str:
    return "-" if milliwatts is None else f"{milliwatts:,.0f}"


def _gibibytes(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
