"""Power sensors that the kernel shows as hwmon chips: INA3221, INA2xx, graphics cards, ACPI power meters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from devices.boards.machine import Machine
from devices.boards.power import EnergyCounter, PowerMeter, Rail, Scaled, Scope, VoltageTimesCurrent

# What a chip of this name measures as a whole, where that is known.
_WHOLES: dict[str, Scope] = {
    "amdgpu": "gpu",
    "xe": "gpu",
    "i915": "gpu",
    "power_meter": "board",
    "fam15h_power": "cpu package",
}
# The INA2xx drivers average 64 conversions of 1.1 ms on each channel unless told otherwise; others say what they do.
_USUAL_PERIOD_S = 0.1
_SHORTEST_PERIOD_S = 0.01
_LONGEST_PERIOD_S = 10.0


@dataclass(frozen=True, slots=True)
class Chip:
    """A power sensor chip: its rails, and how often they hold something new."""

    name: str
    rails: tuple[Rail, ...]
    period_s: float


def power_chips(machine: Machine) -> list[Chip]:
    """The chips that measure power or energy."""
    chips = []
    for folder in machine.find("sys/class/hwmon/hwmon[0-9]*"):
        name = machine.text(folder / "name")
        rails = () if name is None else (*_products(machine, folder), *_powers(machine, folder, name))
        if name is not None and rails:
            chips.append(Chip(name, rails, _period_s(machine.number(folder / "update_interval"))))
    return chips


def hwmon_meters(machine: Machine) -> tuple[PowerMeter, ...]:
    """A meter for every chip; `total` is known for those that measure a whole by nature."""
    meters = []
    for chip in power_chips(machine):
        scope = _WHOLES.get(chip.name)
        total = () if scope is None or len(chip.rails) != 1 else (chip.rails[0].name,)
        meters.append(PowerMeter(chip.name, chip.rails, total, chip.period_s, scope or "board"))
    return tuple(meters)


def _products(machine: Machine, folder: Path) -> list[Rail]:
    """The rails of an INA3221, which gives voltage and current; channel 4 and above are shunts and sums of them."""
    rails = []
    for channel in (1, 2, 3):
        label = machine.text(folder / f"in{channel}_label")
        current = folder / f"curr{channel}_input"
        if label is None or not _connected(label) or machine.number(folder / f"in{channel}_enable") == 0:
            continue
        if current.exists() and not (folder / f"power{channel}_input").exists():
            rails.append(Rail(label, "power", VoltageTimesCurrent(folder / f"in{channel}_input", current)))
    return rails


def _powers(machine: Machine, folder: Path, chip: str) -> list[Rail]:
    """The rails of a chip that gives power in microwatts, or energy in microjoules, by itself."""
    rails = []
    for path in machine.find("*_*", folder):
        matched = re.fullmatch(r"(power|energy)([0-9]+)_(input|average)", path.name)
        if matched is None or (matched[3] == "average" and path.with_name(f"power{matched[2]}_input").exists()):
            continue
        name = machine.text(path.with_name(f"{matched[1]}{matched[2]}_label")) or f"{chip} {matched[1]}{matched[2]}"
        if matched[1] == "power":
            rails.append(Rail(name, "power", Scaled(path, 1e-3)))
        else:
            rails.append(Rail(name, "energy", EnergyCounter(Scaled(path, 1.0), 1e-3, None)))
    return rails


def _connected(label: str) -> bool:
    """Whether something hangs on the channel ("NC" is not connected), and it is no sum of the others."""
    return "NC" not in re.split(r"[^A-Za-z0-9]", label) and "shunt" not in label.lower()


def _period_s(milliseconds: int | None) -> float:
    if milliseconds is None or milliseconds <= 0:
        return _USUAL_PERIOD_S
    return min(_LONGEST_PERIOD_S, max(_SHORTEST_PERIOD_S, milliseconds / 1000))
