"""Temperatures with their trip points, and what the machine does against heat."""

from __future__ import annotations

import re

from devices.boards import procfs
from devices.boards.base import ThermalZone, TripPoint
from devices.boards.machine import Machine

# Fans are cooling devices too, and so are dimmed screens and wireless cards; these ones slow a processor down.
_SLOWS_DOWN = re.compile(r"cpufreq|devfreq|throttle|processor|powerclamp|-alert$|\bcpu", re.IGNORECASE)


def thermal_zones(machine: Machine) -> tuple[ThermalZone, ...] | None:
    """The kernel's thermal zones, then the thermometers of chips that have no zone of their own."""
    return (*_zones(machine), *_chips(machine)) or None


def throttled(machine: Machine) -> tuple[str, ...] | None:
    """The cooling devices that slow the machine down now; None if it has no such devices."""
    active = []
    known = False
    for folder in machine.find("sys/class/thermal/cooling_device[0-9]*"):
        name, state = machine.text(folder / "type"), machine.number(folder / "cur_state")
        if name is None or state is None or not _SLOWS_DOWN.search(name):
            continue
        known = True
        if state > 0:
            active.append(name)
    return tuple(dict.fromkeys(active)) if known else None


def throttle_events(machine: Machine) -> int | None:
    """How often x86 cores were throttled by heat, and Jetson boards by over-current or low voltage."""
    # The package's counter is repeated under each of its cores, so only the cores' own are added.
    counters = machine.find("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count")
    counters += machine.find("sys/class/hwmon/hwmon*/oc*_event_cnt")
    counts = [count for counter in counters if (count := machine.number(counter)) is not None and count >= 0]
    return sum(counts) if counts else None


def _zones(machine: Machine) -> list[ThermalZone]:
    zones = []
    for folder in machine.find("sys/class/thermal/thermal_zone[0-9]*"):
        trips = []
        for kind in machine.find("trip_point_*_type", folder):
            celsius = _celsius(machine, str(kind).replace("_type", "_temp"))
            # Firmware writes 0 °C or less for a trip point that is not used.
            if celsius is not None and celsius > 0:
                trips.append(TripPoint(machine.text(kind) or "unknown", celsius))
        zones.append(
            ThermalZone(
                name=machine.text(folder / "type") or folder.name,
                celsius=_celsius(machine, str(folder / "temp")),
                throttle_celsius=min((trip.celsius for trip in trips if trip.kind == "passive"), default=None),
                trips=tuple(trips),
            )
        )
    return zones


def _chips(machine: Machine) -> list[ThermalZone]:
    zones = []
    for folder in machine.find("sys/class/hwmon/hwmon[0-9]*"):
        name = machine.text(folder / "name") or folder.name
        # A zone shows itself as a chip again.
        if (folder / "device/temp").exists() and (folder / "device/type").exists():
            continue
        for thermometer in machine.find("temp[0-9]*_input", folder):
            stem = str(thermometer).removesuffix("_input")
            critical = _celsius(machine, f"{stem}_crit")
            zones.append(
                ThermalZone(
                    name=f"{name} {machine.text(f'{stem}_label') or thermometer.name.removesuffix('_input')}",
                    celsius=_celsius(machine, str(thermometer)),
                    throttle_celsius=None,
                    trips=() if critical is None or critical <= 0 else (TripPoint("critical", critical),),
                )
            )
    return zones


def _celsius(machine: Machine, path: str) -> float | None:
    return procfs.parse_celsius(machine.text(path) or "")
