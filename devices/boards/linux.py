"""A Linux machine: its description and its load, read from the file tree of the kernel."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from devices.boards import procfs
from devices.boards.base import CoreClock, Environment, Load, ThermalZone

# Versions without which a figure cannot be repeated; a Jetson has onnxruntime-gpu.
PACKAGES = ("edgebench", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "tensorrt", "pillow", "av", "torch")
ROOT = Path("/")


def read_environment(root: Path = ROOT) -> Environment:
    """What this machine is; `root` is the top of the file tree that says it."""
    cpuinfo = _text(root / "proc/cpuinfo") or ""
    processors = root / "sys/devices/system/cpu"
    return Environment(
        architecture=platform.machine(),
        cpu_model=procfs.parse_cpu_model(cpuinfo),
        cores_present=procfs.parse_core_list(_text(processors / "present") or ""),
        cores_online=procfs.parse_core_list(_text(processors / "online") or ""),
        cores_usable=procfs.parse_allowed_cores(_text(root / "proc/self/status") or ""),
        memory_bytes=procfs.parse_kibibytes(_text(root / "proc/meminfo") or "", "MemTotal"),
        kernel=_text(root / "proc/sys/kernel/osrelease"),
        operating_system=procfs.parse_operating_system(_text(root / "etc/os-release") or ""),
        board=_text(root / "proc/device-tree/model"),
        l4t_release=procfs.parse_l4t_release(_text(root / "etc/nv_tegra_release") or ""),
        virtual_machine=_virtual_machine(root, cpuinfo),
        container=_container(root),
        python=platform.python_version(),
        packages=_installed(PACKAGES),
    )


def read_load(root: Path = ROOT) -> Load:
    """What this machine is doing now; `root` is the top of the file tree that says it."""
    ticks_per_second = os.sysconf("SC_CLK_TCK")
    vmstat = _text(root / "proc/vmstat") or ""
    return Load(
        monotonic_ns=time.monotonic_ns(),
        cores_usable=procfs.parse_allowed_cores(_text(root / "proc/self/status") or ""),
        cores=procfs.parse_core_times(_text(root / "proc/stat") or "", ticks_per_second),
        own_cpu_seconds=procfs.parse_own_cpu_seconds(_text(root / "proc/self/stat") or "", ticks_per_second),
        load_average=procfs.parse_load_average(_text(root / "proc/loadavg") or ""),
        clocks=_clocks(root / "sys/devices/system/cpu"),
        thermal_zones=_thermal_zones(root / "sys/class/thermal"),
        throttle_events=_throttle_events(root),
        swapped_in_pages=procfs.parse_counter(vmstat, "pswpin"),
        swapped_out_pages=procfs.parse_counter(vmstat, "pswpout"),
        memory_available_bytes=procfs.parse_kibibytes(_text(root / "proc/meminfo") or "", "MemAvailable"),
    )


def _text(path: Path) -> str | None:
    """What the file says, or None; sensors that are switched off fail in the middle of reading."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip().rstrip("\0") or None
    except OSError:
        return None


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text is not None and text.isdecimal() else None


def _clocks(processors: Path) -> tuple[CoreClock, ...] | None:
    clocks = []
    for folder in processors.glob("cpu[0-9]*/cpufreq"):
        clock = CoreClock(
            core=int(folder.parent.name.removeprefix("cpu")),
            governor=_text(folder / "scaling_governor"),
            current_khz=_number(folder / "scaling_cur_freq"),
            min_khz=_number(folder / "scaling_min_freq"),
            max_khz=_number(folder / "scaling_max_freq"),
        )
        clocks.append(clock)
    return tuple(sorted(clocks, key=lambda clock: clock.core)) or None


def _thermal_zones(thermal: Path) -> tuple[ThermalZone, ...] | None:
    zones = []
    for folder in sorted(thermal.glob("thermal_zone[0-9]*"), key=lambda zone: int(zone.name[len("thermal_zone") :])):
        trips = [
            procfs.parse_celsius(_text(kind.with_name(kind.name.replace("_type", "_temp"))) or "")
            for kind in folder.glob("trip_point_*_type")
            if _text(kind) == "passive"
        ]
        zone = ThermalZone(
            name=_text(folder / "type") or folder.name,
            celsius=procfs.parse_celsius(_text(folder / "temp") or ""),
            throttle_celsius=min((trip for trip in trips if trip is not None), default=None),
        )
        zones.append(zone)
    return tuple(zones) or None


def _throttle_events(root: Path) -> int | None:
    counters: list[Path] = []
    # The package's counter is repeated under each of its cores, so only the cores' own are added.
    counters += root.glob("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count")
    counters += root.glob("sys/class/hwmon/hwmon*/oc*_event_cnt")
    counts = [count for counter in counters if (count := _number(counter)) is not None]
    return sum(counts) if counts else None


def _virtual_machine(root: Path, cpuinfo: str) -> str | None:
    if procfs.parse_hypervisor_flag(cpuinfo) or _text(root / "sys/hypervisor/type"):
        product = _text(root / "sys/class/dmi/id/product_name") or _text(root / "sys/hypervisor/type")
        return product or "a hypervisor"
    return None


def _container(root: Path) -> str | None:
    marks = {".dockerenv": "docker", "run/.containerenv": "podman", "run/systemd/container": "systemd"}
    return next((name for mark, name in marks.items() if (root / mark).exists()), None)


def _installed(names: Iterable[str]) -> dict[str, str]:
    versions = {}
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions
