"""Any Linux machine: its description and its load, read from the file tree of the kernel."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import ClassVar

from devices.boards import procfs
from devices.boards.base import Absence, Environment, Load
from devices.boards.clocks import core_clocks, device_clocks
from devices.boards.heat import thermal_zones, throttle_events, throttled
from devices.boards.hwmon import hwmon_meters
from devices.boards.machine import Machine
from devices.boards.power import PowerMeter
from devices.boards.rapl import rapl_absences, rapl_meters

# Versions without which a figure cannot be repeated; a Jetson has onnxruntime-gpu.
PACKAGES = ("edgebench", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "tensorrt", "pillow", "av", "torch")
ROOT = Path("/")


class Linux:
    """What every Linux machine tells; a family adds what only its boards do."""

    family: ClassVar[str] = "linux"

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def __reduce__(self) -> tuple[type[Linux], tuple[Machine]]:
        # A sampler in a process of its own makes the board again, and opens the sensors there.
        return type(self), (self.machine,)

    @classmethod
    def detect(cls, machine: Machine) -> Linux | None:
        return cls(machine)

    def environment(self) -> Environment:
        text = self.machine.text
        cpuinfo = text("proc/cpuinfo") or ""
        return Environment(
            architecture=platform.machine(),
            cpu_model=procfs.parse_cpu_model(cpuinfo),
            cores_present=procfs.parse_core_list(text("sys/devices/system/cpu/present") or ""),
            cores_online=procfs.parse_core_list(text("sys/devices/system/cpu/online") or ""),
            cores_usable=procfs.parse_allowed_cores(text("proc/self/status") or ""),
            memory_bytes=procfs.parse_kibibytes(text("proc/meminfo") or "", "MemTotal"),
            kernel=text("proc/sys/kernel/osrelease"),
            operating_system=procfs.parse_operating_system(text("etc/os-release") or ""),
            board=text("proc/device-tree/model"),
            l4t_release=procfs.parse_l4t_release(text("etc/nv_tegra_release") or ""),
            virtual_machine=_virtual_machine(self.machine, cpuinfo),
            container=_container(self.machine),
            python=platform.python_version(),
            packages=_installed(PACKAGES),
        )

    def load(self, *, thorough: bool = False) -> Load:
        ticks_per_second = os.sysconf("SC_CLK_TCK")
        text = self.machine.text
        vmstat, meminfo = text("proc/vmstat") or "", text("proc/meminfo") or ""
        return Load(
            monotonic_ns=time.monotonic_ns(),
            cores_usable=procfs.parse_allowed_cores(text("proc/self/status") or ""),
            cores=procfs.parse_core_times(text("proc/stat") or "", ticks_per_second),
            own_cpu_seconds=procfs.parse_own_cpu_seconds(text("proc/self/stat") or "", ticks_per_second),
            load_average=procfs.parse_load_average(text("proc/loadavg") or ""),
            clocks=core_clocks(self.machine),
            thermal_zones=thermal_zones(self.machine),
            throttle_events=throttle_events(self.machine),
            swapped_in_pages=procfs.parse_counter(vmstat, "pswpin"),
            swapped_out_pages=procfs.parse_counter(vmstat, "pswpout"),
            memory_available_bytes=procfs.parse_kibibytes(meminfo, "MemAvailable"),
            swap_total_bytes=procfs.parse_kibibytes(meminfo, "SwapTotal"),
            swap_free_bytes=procfs.parse_kibibytes(meminfo, "SwapFree"),
            device_clocks=device_clocks(self.machine),
            throttled=throttled(self.machine),
        )

    def power_meters(self) -> tuple[PowerMeter, ...]:
        return (*rapl_meters(self.machine), *hwmon_meters(self.machine))

    def absences(self) -> tuple[Absence, ...]:
        rapl = rapl_absences(self.machine) if platform.machine() in ("x86_64", "AMD64") else ()
        return (*self.common_absences(), *rapl)

    def common_absences(self) -> tuple[Absence, ...]:
        """What a machine of any family may lack."""
        load = self.load()
        absent = []
        if load.clocks is None:
            absent.append(Absence("core clocks", "not there", "the kernel shows no cpufreq; virtual machines hide it"))
        if load.thermal_zones is None:
            absent.append(Absence("temperatures", "not there", "the kernel shows no thermal zone and no hwmon chip"))
        if load.throttled is None and load.throttle_events is None:
            absent.append(Absence("throttling", "not there", "watch for drift instead: edgebench latency reports it"))
        return tuple(absent)


def read_environment(root: Path = ROOT) -> Environment:
    """What this machine is, of whatever family; `root` is the top of the file tree that says it."""
    return Linux(Machine(root)).environment()


def read_load(root: Path = ROOT) -> Load:
    """What this machine is doing now, of whatever family; `root` is the top of the file tree that says it."""
    return Linux(Machine(root)).load()


def _virtual_machine(machine: Machine, cpuinfo: str) -> str | None:
    hypervisor = machine.text("sys/hypervisor/type")
    if procfs.parse_hypervisor_flag(cpuinfo) or hypervisor:
        return machine.text("sys/class/dmi/id/product_name") or hypervisor or "a hypervisor"
    return None


def _container(machine: Machine) -> str | None:
    marks = {".dockerenv": "docker", "run/.containerenv": "podman", "run/systemd/container": "systemd"}
    return next((name for mark, name in marks.items() if (machine.root / mark).exists()), None)


def _installed(names: Iterable[str]) -> dict[str, str]:
    versions = {}
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions
