"""NVIDIA's Jetson boards, Nano to Thor, with JetPack 4 to 7."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from devices.boards.base import Absence, DeviceClock, Environment, Load
from devices.boards.hwmon import power_chips
from devices.boards.jetpack import jetpack_of
from devices.boards.jetson_programs import (
    PowerMode,
    Stats,
    parse_clocks,
    parse_mode_number,
    parse_power_mode,
    parse_power_modes,
    parse_stats,
)
from devices.boards.linux import Linux
from devices.boards.machine import Machine
from devices.boards.power import PowerMeter, Rail, Scaled

# The first of these that a board has measures all of it (NVIDIA's developer guides; Thor's VIN is its INA238).
_TOTALS = ("VIN", "VDD_IN", "POM_5V_IN")
# Boards without such a rail: what is behind the regulators, together.  Other rails of theirs are part of one of these.
_SUMS = (
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
)
# Thor's INA238 measures the supply, and has no label.
_INPUT = "ina238 power1"
_IIO_PERIOD_S = 0.1
# The memory's clock, by where it is kept: folder, then the files of its current, lowest, highest and forced rate.
_MEMORY = (
    ("sys/kernel/debug/bpmp/debug/clk/emc", "rate", "min_rate", "max_rate", "mrq_rate_locked"),
    ("sys/kernel/debug", "clk/override.emc/clk_rate", "tegra_bwmgr/emc_min_rate", "tegra_bwmgr/emc_max_rate",
     "clk/override.emc/clk_state"),
)  # fmt: skip
_GPU_NAMES = (".gpu", ".ga10b", ".gv11b", ".gp10b", "gpu-gpc-0")


class Jetson(Linux):
    """A Jetson: its rails (INA3221, INA238), nvpmodel's power mode, the clocks of GPU and memory."""

    family: ClassVar[str] = "jetson"

    @classmethod
    def detect(cls, machine: Machine) -> Jetson | None:
        compatible = machine.text("proc/device-tree/compatible") or ""
        model = machine.text("proc/device-tree/model") or ""
        known = "nvidia,tegra" in compatible or "Jetson" in model or machine.text("etc/nv_tegra_release") is not None
        return cls(machine) if known else None

    def environment(self) -> Environment:
        environment = super().environment()
        release = environment.l4t_release or self._release_of_package()
        mode = self.power_mode()
        return replace(
            environment,
            l4t_release=release,
            jetpack=None if release is None else jetpack_of(release),
            power_mode=None if mode is None else str(mode),
        )

    def power_mode(self) -> PowerMode | None:
        """The mode that is set: nvpmodel says it, or the file in which nvpmodel keeps it."""
        said = self.machine.run("nvpmodel", "-q").text
        mode = None if said is None else parse_power_mode(said)
        if mode is not None:
            return mode
        number = parse_mode_number(self.machine.text("var/lib/nvpmodel/status") or "")
        name = None if number is None else self.power_modes().get(number)
        return None if name is None else PowerMode(name, number)

    def power_modes(self) -> dict[int, str]:
        """The modes on offer, by number."""
        configured = parse_power_modes(self.machine.text("etc/nvpmodel.conf") or "")
        return configured or parse_power_modes(self.machine.run("nvpmodel", "-p", "--verbose").text or "")

    def load(self, *, thorough: bool = False) -> Load:
        load = super().load()
        clocks = load.device_clocks or ()
        memory = self._memory_clock()
        if thorough:
            told = self._told_clocks()
            memory = memory or told.get("emc")
            clocks, memory = self._with_loads(clocks, memory)
            if told.get("gpu") is not None and not any(map(_is_gpu, clocks)):
                clocks = (*clocks, told["gpu"])
        return replace(load, device_clocks=(*clocks, *(() if memory is None else (memory,))) or None)

    def power_meters(self) -> tuple[PowerMeter, ...]:
        chips = power_chips(self.machine)
        rails = [rail for chip in chips for rail in chip.rails] + self._iio_rails()
        rails = [replace(rail, name="VIN") if rail.name == _INPUT else rail for rail in rails]
        if not rails:
            return ()
        period_s = max((chip.period_s for chip in chips), default=_IIO_PERIOD_S)
        return (PowerMeter("jetson", tuple(rails), _total({rail.name for rail in rails}), period_s, "board"),)

    def absences(self) -> tuple[Absence, ...]:
        absent = list(self.common_absences())
        if not (meters := self.power_meters()):
            absent.append(Absence("power rails", *self._why_no_rails()))
        elif not meters[0].total:
            absent.append(
                Absence("power of the whole board", "not there", "no rail measures it, and the sum is unknown")
            )
        if self.power_mode() is None:
            said = self.machine.run("nvpmodel", "-q")
            why = said.obstacle or "nvpmodel says nothing that is understood"
            absent.append(Absence("power mode", why, _ADVICE.get(why, "on the board: sudo nvpmodel -q")))
        if not any(map(_is_gpu, self.load().device_clocks or ())):
            absent.append(Absence("GPU clock", "not there", "in a container, mount the board's /sys"))
        if self._memory_clock() is None and "emc" not in self._told_clocks():
            why = self.machine.obstacle(f"{_MEMORY[0][0]}/rate") or "not understood"
            absent.append(Absence("memory clock (EMC)", why, _ADVICE.get(why)))
        return tuple(absent)

    def _release_of_package(self) -> str | None:
        said = self.machine.run("dpkg-query", "--show", "--showformat=${Version}", "nvidia-l4t-core").text or ""
        version = said.partition("-")[0].strip()
        return version if version.count(".") >= 1 and version.replace(".", "").isdecimal() else None

    def _memory_clock(self) -> DeviceClock | None:
        for folder, *files in _MEMORY:
            current, low, high, forced = (self.machine.number(f"{folder}/{name}") for name in files)
            if current is not None and current > 0:
                return DeviceClock("emc", None, current, low, high, forced=None if forced is None else forced == 1)
        return None

    def _told_clocks(self) -> dict[str, DeviceClock]:
        return parse_clocks(self.machine.run("jetson_clocks", "--show").text or "")

    def _with_loads(
        self, clocks: tuple[DeviceClock, ...], memory: DeviceClock | None
    ) -> tuple[tuple[DeviceClock, ...], DeviceClock | None]:
        """The clocks with the loads that only tegrastats tells: Thor's GPU, and the memory's."""
        stats = self._stats()
        clocks = tuple(
            replace(clock, load=stats.gpu_load) if clock.load is None and _is_gpu(clock) else clock for clock in clocks
        )
        return clocks, None if memory is None else replace(memory, load=stats.memory_load)

    def _stats(self) -> Stats:
        return parse_stats(self.machine.first_line("tegrastats", "--interval", "100") or "")

    def _iio_rails(self) -> list[Rail]:
        """The rails of JetPack 4, where the chip is an iio device."""
        rails = []
        for label in self.machine.find("sys/bus/i2c/devices/*/iio:device*/rail_name_[0-9]"):
            name = self.machine.text(label)
            power = label.with_name(f"in_power{label.name[-1]}_input")
            if name is not None and name != "NC" and power.exists():
                rails.append(Rail(name, "power", Scaled(power, 1.0)))
        return rails

    def _why_no_rails(self) -> tuple[str, str | None]:
        if self._stats().rails_mw:
            return "not there, though tegrastats shows some", "in a container, mount the board's /sys"
        return "not there", "the Nano 2GB and some carrier boards have no sensor: measure at the supply"


_ADVICE = {
    "needs root": 'ask as root: sudo "$(command -v edgebench)" devices',
    "needs the program nvpmodel": "sudo apt install nvidia-l4t-nvpmodel; in a container, ask outside of it",
    "not there": "JetPack keeps it in /sys/kernel/debug: sudo mount -t debugfs none /sys/kernel/debug",
}


def _total(names: set[str]) -> tuple[str, ...]:
    whole = next(((name,) for name in _TOTALS if name in names), ())
    return whole or next((parts for parts in _SUMS if names.issuperset(parts)), ())


def _is_gpu(clock: DeviceClock) -> bool:
    return clock.name.endswith(_GPU_NAMES)
