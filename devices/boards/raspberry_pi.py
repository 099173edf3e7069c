"""Raspberry Pi boards: what the firmware says of throttling, and the rails that a Raspberry Pi 5 measures."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar

from devices.boards.base import Absence, Load
from devices.boards.linux import Linux
from devices.boards.machine import Machine
from devices.boards.power import PowerMeter, Rail

# Bits of get_throttled; sixteen places higher the same ones say that it has happened since the start.
_THROTTLED = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
_SINCE_START = 16
# Each reading starts a program, which takes milliseconds.
_PERIOD_S = 0.5
_GET_THROTTLED = "sys/devices/platform/soc*/soc*:firmware/get_throttled"


class RaspberryPi(Linux):
    """A Raspberry Pi."""

    family: ClassVar[str] = "raspberry-pi"

    @classmethod
    def detect(cls, machine: Machine) -> RaspberryPi | None:
        model = machine.text("proc/device-tree/model") or ""
        return cls(machine) if model.startswith("Raspberry Pi") else None

    def load(self, *, thorough: bool = False) -> Load:
        load = super().load(thorough=thorough)
        bits = self._throttled_bits()
        if bits is None:
            return load
        kernel = load.throttled or ()
        return replace(load, throttled=(*kernel, *_named(bits)), throttled_before=_named(bits >> _SINCE_START))

    def power_meters(self) -> tuple[PowerMeter, ...]:
        meters = super().power_meters()
        pmic = Pmic(self.machine)
        rails = tuple(Rail(name, "power", PmicRail(pmic, name)) for name in pmic.rails())
        # What flows past the chip (USB, fan, the losses of the regulators) is on none of its rails.
        return (*meters, PowerMeter("pmic", rails, (), _PERIOD_S, "board")) if rails else meters

    def absences(self) -> tuple[Absence, ...]:
        absent = list(self.common_absences())
        if self._throttled_bits() is None:
            why = self.machine.run("vcgencmd", "get_throttled").obstacle or "not understood"
            absent.append(Absence("under-voltage and throttling", why, _advice(why)))
        if any(meter.name == "pmic" for meter in self.power_meters()):
            absent.append(Absence("power of the whole board", "not there", "measure at the supply: no rail has it"))
        elif "Pi 5" in (self.machine.text("proc/device-tree/model") or ""):
            why = self.machine.run("vcgencmd", "pmic_read_adc").obstacle or "not understood"
            absent.append(Absence("power rails", why, _advice(why)))
        else:
            absent.append(Absence("power rails", "not there", "only a Raspberry Pi 5 has some: measure at the supply"))
        return tuple(absent)

    def _throttled_bits(self) -> int | None:
        for path in self.machine.find(_GET_THROTTLED):
            if (bits := parse_throttled(self.machine.text(path) or "")) is not None:
                return bits
        return parse_throttled(self.machine.run("vcgencmd", "get_throttled").text or "")


class Pmic:
    """The power chip of a Raspberry Pi 5; one question gives all its rails, and each answer is handed out once."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._answer: dict[str, float] = {}
        self._given: set[str] = set()

    def rails(self) -> tuple[str, ...]:
        """The names of the rails that it gives now."""
        return tuple(self._ask())

    def read(self, name: str) -> float | None:
        """The milliwatts of a rail; a rail that was read before is asked for again, with all the others."""
        if not self._answer or name in self._given:
            self._answer = self._ask()
            self._given = set()
        self._given.add(name)
        return self._answer.get(name)

    def _ask(self) -> dict[str, float]:
        return parse_pmic(self._machine.run("vcgencmd", "pmic_read_adc").text or "")


class PmicRail:
    """The reader of one rail."""

    def __init__(self, pmic: Pmic, name: str) -> None:
        self._pmic = pmic
        self._name = name

    def read(self) -> float | None:
        return self._pmic.read(self._name)

    def close(self) -> None:
        """Nothing is held open."""


def parse_throttled(said: str) -> int | None:
    """The bits in "throttled=0x50005", or in "50005" as the kernel's file has them."""
    matched = re.fullmatch(r"(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})", said.strip())
    return int(matched[1], 16) if matched else None


def parse_pmic(said: str) -> dict[str, float]:
    """The milliwatts of every rail whose current and voltage `vcgencmd pmic_read_adc` both tells."""
    amperes = dict(re.findall(r"^ *(\w+)_A current\([0-9]+\)=([0-9]+\.[0-9]+)A *$", said, re.MULTILINE))
    volts = dict(re.findall(r"^ *(\w+)_V volt\([0-9]+\)=([0-9]+\.[0-9]+)V *$", said, re.MULTILINE))
    return {name: float(current) * float(volts[name]) * 1000 for name, current in amperes.items() if name in volts}


def _named(bits: int) -> tuple[str, ...]:
    return tuple(name for bit, name in _THROTTLED.items() if bits >> bit & 1)


def _advice(why: str) -> str:
    if why == "needs the program vcgencmd":
        return "sudo apt install raspi-utils-core (older systems: libraspberrypi-bin)"
    return 'it asks /dev/vcio, which belongs to the group video: sudo usermod -aG video "$USER", and log in again'
