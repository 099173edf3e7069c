"""What the kernel's text files say: one pure function for each, None where a file does not say it."""

from __future__ import annotations

import re

from devices.boards.base import CoreTime

# Arm cores do not tell their name, only implementer and part (MIDR_EL1); these are the ones in boards of this kind.
_ARM_CORES = {
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD83): "Neoverse-V3AE",
    (0x4E, 0x003): "NVIDIA Denver 2",
    (0x4E, 0x004): "NVIDIA Carmel",
}


def parse_core_list(text: str) -> tuple[int, ...] | None:
    """The cores of a list such as "0-3,6", ascending."""
    cores: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        matched = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", part)
        if matched is None:
            return None
        cores.update(range(int(matched[1]), int(matched[2] or matched[1]) + 1))
    return tuple(sorted(cores)) or None


def parse_cpu_model(cpuinfo: str) -> str | None:
    """The processor's name in /proc/cpuinfo; several kinds of cores are joined by " + "."""
    if names := _values(cpuinfo, "model name"):
        return names[0]
    kinds = dict.fromkeys(zip(_values(cpuinfo, "CPU implementer"), _values(cpuinfo, "CPU part"), strict=False))
    return " + ".join(_arm_core(implementer, part) for implementer, part in kinds) or None


def parse_hypervisor_flag(cpuinfo: str) -> bool:
    """Whether an x86 processor says that it runs under a hypervisor."""
    return any("hypervisor" in flags.split() for flags in _values(cpuinfo, "flags")[:1])


def parse_kibibytes(meminfo: str, name: str) -> int | None:
    """The bytes of one line of /proc/meminfo, "MemTotal: 7990080 kB"."""
    matched = re.search(rf"^{re.escape(name)}:\s+([0-9]+) kB$", meminfo, re.MULTILINE)
    return int(matched[1]) * 1024 if matched else None


def parse_counter(vmstat: str, name: str) -> int | None:
    """One counter of /proc/vmstat, "pswpin 12"."""
    matched = re.search(rf"^{re.escape(name)} ([0-9]+)$", vmstat, re.MULTILINE)
    return int(matched[1]) if matched else None


def parse_core_times(stat: str, ticks_per_second: int) -> tuple[CoreTime, ...] | None:
    """The time of every core in /proc/stat."""
    times = []
    for core, counters in re.findall(r"^cpu([0-9]+)((?: [0-9]+){8,})", stat, re.MULTILINE):
        # Guest time stands at the end, and is part of user time already.
        user, nice, system, idle, io_wait, irq, soft_irq, steal = (
            int(ticks) / ticks_per_second for ticks in counters.split()[:8]
        )
        busy = user + nice + system + irq + soft_irq + steal
        times.append(CoreTime(int(core), busy, idle + io_wait, steal))
    return tuple(times) or None


def parse_own_cpu_seconds(stat: str, ticks_per_second: int) -> float | None:
    """User and system time in /proc/self/stat."""
    # The program's name may hold spaces and brackets; fields are counted from behind its closing bracket.
    fields = stat.rpartition(")")[2].split()
    try:
        return (int(fields[11]) + int(fields[12])) / ticks_per_second
    except (IndexError, ValueError):
        return None


def parse_load_average(loadavg: str) -> tuple[float, float, float] | None:
    """The three averages of /proc/loadavg."""
    try:
        one, five, fifteen = (float(field) for field in loadavg.split()[:3])
    except ValueError:
        return None
    return one, five, fifteen


def parse_allowed_cores(status: str) -> tuple[int, ...] | None:
    """The cores that the process of this /proc/PID/status may run on."""
    allowed = _values(status, "Cpus_allowed_list")
    return parse_core_list(allowed[0]) if allowed else None


def parse_operating_system(os_release: str) -> str | None:
    """The name in /etc/os-release, "Ubuntu 22.04.5 LTS"."""
    matched = re.search(r"^PRETTY_NAME=[\"']?(.*?)[\"']?$", os_release, re.MULTILINE)
    return matched[1] if matched else None


def parse_l4t_release(nv_tegra_release: str) -> str | None:
    """The Jetson release in /etc/nv_tegra_release, "# R36 (release), REVISION: 4.3, ..." -> "36.4.3"."""
    matched = re.match(r"# R([0-9]+) \(release\), REVISION: ([0-9.]+)", nv_tegra_release)
    return f"{matched[1]}.{matched[2]}" if matched else None


def parse_celsius(millidegrees: str) -> float | None:
    """A thermal zone's temperature; a zone that is switched off, or garbled, reads far beyond any cold or heat."""
    try:
        celsius = int(millidegrees) / 1000
    except (ValueError, OverflowError):
        return None
    return celsius if -100 < celsius < 250 else None


def _values(text: str, name: str) -> list[str]:
    return re.findall(rf"^{re.escape(name)}\s*:\s*(.*?)\s*$", text, re.MULTILINE)


def _arm_core(implementer: str, part: str) -> str:
    try:
        name = _ARM_CORES.get((int(implementer, 16), int(part, 16)))
    except ValueError:
        name = None
    return name or f"implementer {implementer} part {part}"
