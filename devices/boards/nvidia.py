"""Machines with NVIDIA graphics cards: what their driver tells through NVML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from devices.boards.base import Absence, DeviceClock, Environment, Load, ThermalZone, TripPoint
from devices.boards.linux import Linux
from devices.boards.machine import Machine
from devices.boards.power import EnergyCounter, PowerMeter, Rail

# The driver renews power and energy every 20 to 100 ms, depending on the card.
_PERIOD_S = 0.1
_DRIVER = "proc/driver/nvidia/version"
# What slows a card down, by the bit of NVML's clocks event reasons; idling and limits that a user set are left out.
_REASONS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake",
}
_TRIPS = {0: "critical", 1: "passive"}
_GRAPHICS_CLOCK, _MEMORY_CLOCK, _GPU_TEMPERATURE = 0, 2, 0


class Nvidia(Linux):
    """A machine with the NVIDIA driver, whose cards are asked through nvidia-ml-py."""

    family: ClassVar[str] = "nvidia"

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._cards, self._why_no_cards = _cards()

    @classmethod
    def detect(cls, machine: Machine) -> Nvidia | None:
        # A Jetson has the driver too, and its own family.
        return cls(machine) if machine.text(_DRIVER) is not None else None

    def environment(self) -> Environment:
        environment = super().environment()
        driver = None if not self._cards else self._cards[0].ask("nvmlSystemGetDriverVersion")
        return (
            environment
            if driver is None
            else replace(environment, packages={**environment.packages, "nvidia-driver": _text(driver)})
        )

    def load(self, *, thorough: bool = False) -> Load:
        load = super().load(thorough=thorough)
        reasons = [card.slowed_by() for card in self._cards]
        throttled = [reason for reason in (load.throttled, *reasons) if reason is not None]
        return replace(
            load,
            device_clocks=(*(load.device_clocks or ()), *(clock for card in self._cards for clock in card.clocks()))
            or None,
            thermal_zones=(*(load.thermal_zones or ()), *(card.thermal_zone() for card in self._cards)) or None,
            throttled=tuple(name for names in throttled for name in names) if throttled else None,
        )

    def power_meters(self) -> tuple[PowerMeter, ...]:
        rails = tuple(rail for card in self._cards if (rail := card.rail()) is not None)
        cards = (PowerMeter("nvml", rails, tuple(rail.name for rail in rails), _PERIOD_S, "gpu"),) if rails else ()
        return (*super().power_meters(), *cards)

    def absences(self) -> tuple[Absence, ...]:
        absent = list(super().absences())
        if self._why_no_cards is not None:
            absent.append(self._why_no_cards)
        absent += [
            Absence(f"power of {card.name}", "not supported by the card") for card in self._cards if card.rail() is None
        ]
        return tuple(absent)


class Card:
    """One graphics card behind NVML; what it does not support is None."""

    def __init__(self, nvml: Any, index: int) -> None:
        self._nvml = nvml
        self._handle = nvml.nvmlDeviceGetHandleByIndex(index)
        model = self._of_card("nvmlDeviceGetName")
        self.name = f"gpu{index}" if model is None else f"gpu{index} {_text(model)}"

    def ask(self, function: str, *arguments: Any) -> Any:
        """What a function of NVML gives; None where card, driver or bindings do not know it."""
        try:
            return getattr(self._nvml, function)(*arguments)
        except (self._nvml.NVMLError, AttributeError):
            return None

    def clocks(self) -> tuple[DeviceClock, ...]:
        """The clocks of processor and memory; what they are locked to, NVML does not tell."""
        used = self._of_card("nvmlDeviceGetUtilizationRates")
        clocks = []
        for what, kind, load in (("graphics", _GRAPHICS_CLOCK, used and used.gpu), ("memory", _MEMORY_CLOCK, None)):
            megahertz = self._of_card("nvmlDeviceGetClockInfo", kind)
            if megahertz is not None:
                share = None if load is None else load / 100
                clocks.append(DeviceClock(f"{self.name} {what}", None, megahertz * 1_000_000, load=share))
        return tuple(clocks)

    def thermal_zone(self) -> ThermalZone:
        trips = [
            TripPoint(kind, float(celsius))
            for threshold, kind in _TRIPS.items()
            if (celsius := self._of_card("nvmlDeviceGetTemperatureThreshold", threshold))
        ]
        celsius = self._of_card("nvmlDeviceGetTemperature", _GPU_TEMPERATURE)
        return ThermalZone(
            name=self.name,
            celsius=None if celsius is None else float(celsius),
            throttle_celsius=next((trip.celsius for trip in trips if trip.kind == "passive"), None),
            trips=tuple(trips),
        )

    def slowed_by(self) -> tuple[str, ...] | None:
        """What slows the card down now."""
        bits = self._of_card("nvmlDeviceGetCurrentClocksEventReasons")
        if bits is None:  # the name that it has in drivers before 535
            bits = self._of_card("nvmlDeviceGetCurrentClocksThrottleReasons")
        return None if bits is None else tuple(f"{self.name}: {name}" for bit, name in _REASONS.items() if bits & bit)

    def rail(self) -> Rail | None:
        """The card's energy where it counts that (Volta and later), else its power."""
        energy = Measured(lambda: self._of_card("nvmlDeviceGetTotalEnergyConsumption"))
        if energy.read() is not None:
            return Rail(self.name, "energy", EnergyCounter(energy, 1.0, None))
        power = Measured(lambda: self._of_card("nvmlDeviceGetPowerUsage"))
        return Rail(self.name, "power", power) if power.read() is not None else None

    def _of_card(self, function: str, *arguments: Any) -> Any:
        return self.ask(function, self._handle, *arguments)


class Measured:
    """The reader of a number that a function gives."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask

    def read(self) -> float | None:
        value = self._ask()
        return None if value is None else float(value)

    def close(self) -> None:
        """Nothing is held open."""


def _cards() -> tuple[tuple[Card, ...], Absence | None]:
    """The cards, or why there are none."""
    try:
        import pynvml
    except ModuleNotFoundError:
        return (), Absence("graphics card", "needs the package nvidia-ml-py", 'pip install "edgebench[nvidia]"')
    try:
        pynvml.nvmlInit()
        return tuple(Card(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())), None
    except pynvml.NVMLError as error:
        return (), Absence("graphics card", f"the driver does not answer ({error})", "see what nvidia-smi says")


def _text(name: str | bytes) -> str:
    # Bindings before 11.5 give bytes.
    return name.decode() if isinstance(name, bytes) else name
