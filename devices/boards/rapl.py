"""The energy counters of x86 processors (RAPL), as the powercap tree shows them."""

from __future__ import annotations

from pathlib import Path

from devices.boards.base import Absence
from devices.boards.machine import Machine
from devices.boards.power import EnergyCounter, NumberFile, PowerMeter, Rail

# The counters advance every millisecond; ten steps a reading keep that grain at a tenth.
_PERIOD_S = 0.01
_WHAT = "energy of the processor package"


def rapl_meters(machine: Machine) -> tuple[PowerMeter, ...]:
    """A meter of the packages (with the parts of each that are counted), and one of the whole platform (psys)."""
    packages: list[Rail] = []
    platform: list[Rail] = []
    total: list[str] = []
    for folder in _domains(machine):
        name = _name(machine, folder)
        if machine.number(folder / "energy_uj") is None:
            continue
        largest = machine.number(folder / "max_energy_range_uj")
        rail = Rail(name, "energy", EnergyCounter(NumberFile(folder / "energy_uj"), 1e-3, largest))
        (platform if name.startswith("psys") else packages).append(rail)
        if name.startswith("package") and "/" not in name:
            total.append(name)
    meters = []
    if packages:
        meters.append(PowerMeter("rapl", tuple(packages), tuple(total), _PERIOD_S, "cpu package"))
    if platform:
        meters.append(PowerMeter("rapl psys", tuple(platform), (platform[0].name,), _PERIOD_S, "board"))
    return tuple(meters)


def rapl_absences(machine: Machine) -> tuple[Absence, ...]:
    """Why the counters cannot be read."""
    folders = _domains(machine)
    if not folders:
        return (Absence(_WHAT, "not there", "virtual machines do not show it; else try: sudo modprobe intel_rapl_msr"),)
    obstacles = {obstacle for folder in folders if (obstacle := machine.obstacle(folder / "energy_uj")) is not None}
    advice = "run as root, or until the next start: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
    return tuple(
        Absence(_WHAT, obstacle, advice if obstacle == "needs root" else None) for obstacle in sorted(obstacles)
    )


def _domains(machine: Machine) -> list[Path]:
    # intel-rapl-mmio shows the same package a second time.
    return machine.find("sys/class/powercap/intel-rapl:[0-9]*")


def _name(machine: Machine, folder: Path) -> str:
    """`package-0`, and `package-0/core` for a part of it: the folder intel-rapl:0:1 is part of intel-rapl:0."""
    name = machine.text(folder / "name") or folder.name
    whole, _, part = folder.name.rpartition(":")
    if ":" not in whole or not part:
        return name
    return f"{machine.text(folder.with_name(whole) / 'name') or whole}/{name}"
