"""The clocks of cores and other parts, as cpufreq and devfreq show them."""

from __future__ import annotations

from pathlib import Path

from devices.boards.base import CoreClock, DeviceClock
from devices.boards.machine import Machine


def core_clocks(machine: Machine) -> tuple[CoreClock, ...] | None:
    """The clocks of the cores that have one."""
    clocks = [
        CoreClock(
            core=int(folder.parent.name.removeprefix("cpu")),
            governor=machine.text(folder / "scaling_governor"),
            current_khz=_frequency(machine, folder / "scaling_cur_freq"),
            min_khz=_frequency(machine, folder / "scaling_min_freq"),
            max_khz=_frequency(machine, folder / "scaling_max_freq"),
        )
        for folder in machine.find("sys/devices/system/cpu/cpu[0-9]*/cpufreq")
    ]
    return tuple(clocks) or None


def device_clocks(machine: Machine) -> tuple[DeviceClock, ...] | None:
    """The clocks of GPU, memory and other parts that scale by themselves."""
    clocks = [
        DeviceClock(
            name=folder.name,
            governor=machine.text(folder / "governor"),
            current_hz=_frequency(machine, folder / "cur_freq"),
            min_hz=_frequency(machine, folder / "min_freq"),
            max_hz=_frequency(machine, folder / "max_freq"),
            load=_load(machine.number(folder / "device/load")),
        )
        for folder in machine.find("sys/class/devfreq/*")
    ]
    return tuple(clocks) or None


def _frequency(machine: Machine, path: Path) -> int | None:
    """A frequency in the file's unit; no clock stands still, so 0 or less says that it is not known."""
    frequency = machine.number(path)
    return frequency if frequency is not None and frequency > 0 else None


def _load(per_mille: int | None) -> float | None:
    return per_mille / 1000 if per_mille is not None and 0 <= per_mille <= 1000 else None
