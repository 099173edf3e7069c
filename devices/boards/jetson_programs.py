"""What nvpmodel, jetson_clocks and tegrastats say: one pure function for each, None or nothing where they do not."""

from __future__ import annotations

import re
from dataclasses import dataclass

from devices.boards.base import DeviceClock


@dataclass(frozen=True, slots=True)
class PowerMode:
    """A power mode of nvpmodel; `number` is None where only the name was told."""

    name: str
    number: int | None

    def __str__(self) -> str:
        return self.name if self.number is None else f"{self.name} ({self.number})"


@dataclass(frozen=True, slots=True)
class Stats:
    """A line of tegrastats: loads in [0, 1] and rails in milliwatts, by name."""

    gpu_load: float | None
    memory_load: float | None
    rails_mw: dict[str, float]


def parse_power_mode(said: str) -> PowerMode | None:
    """The mode that `nvpmodel -q` names; its number stands on a line of its own, warnings may stand before."""
    matched = re.search(r"^NV Power Mode: *(\S.*?) *$(?:\s+([0-9]{1,3}) *$)?", said, re.MULTILINE)
    return PowerMode(matched[1], None if matched[2] is None else int(matched[2])) if matched else None


def parse_power_modes(configuration: str) -> dict[int, str]:
    """The modes on offer in /etc/nvpmodel.conf or `nvpmodel -p --verbose`, by number."""
    found = re.findall(r"^[^#\n]*POWER_MODEL:? +ID=([0-9]{1,3}) +NAME=(\S+)", configuration, re.MULTILINE)
    return {int(number): name for number, name in found}


def parse_mode_number(status: str) -> int | None:
    """The number of the mode in /var/lib/nvpmodel/status, "pmode:0002 fmode:quiet"."""
    matched = re.search(r"\bpmode:([0-9]{1,4})\b", status)
    return int(matched[1]) if matched else None


def parse_clocks(said: str) -> dict[str, DeviceClock]:
    """The clocks of "gpu" and "emc" in what `jetson_clocks --show` says; a 1 in FreqOverride holds the memory's."""
    clocks = {}
    for name in ("GPU", "EMC"):
        matched = re.search(rf"^{name} MinFreq=([0-9]+) MaxFreq=([0-9]+) CurrentFreq=([0-9]+)(.*)$", said, re.MULTILINE)
        if matched:
            low, high, current = (int(matched[group]) for group in (1, 2, 3))
            override = re.search(r"FreqOverride=([01])\b", matched[4])
            forced = None if override is None else override[1] == "1"
            clocks[name.lower()] = DeviceClock(name.lower(), None, current, low, high, forced=forced)
    return clocks


def parse_stats(line: str) -> Stats:
    """A line of tegrastats, of JetPack 4 (`POM_5V_IN 3478/3201`) to 7 (`VIN 26686mW/26686mW/26686mW`)."""
    # Memory comes as "RAM 1997/62841MB" and "SWAP 0/3810MB": rails have no unit behind, or mW.
    rails = re.findall(r"\b([A-Z][A-Z0-9_]+) ([0-9]{1,7})(?:mW)?/[0-9]+(?:mW)?(?:/[0-9]+mW)?(?= |$)", line)
    return Stats(
        gpu_load=_share(line, "GR3D_FREQ"),
        memory_load=_share(line, "EMC_FREQ"),
        rails_mw={name: float(milliwatts) for name, milliwatts in rails},
    )


def _share(line: str, name: str) -> float | None:
    matched = re.search(rf"\b{name} ([0-9]{{1,3}})%", line)
    return int(matched[1]) / 100 if matched and int(matched[1]) <= 100 else None
