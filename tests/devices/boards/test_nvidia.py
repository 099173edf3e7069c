"""Graphics cards behind NVML, with a stand-in for it whose cards differ in what they support."""

from __future__ import annotations

import pickle
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from devices.boards.base import DeviceClock, ThermalZone, TripPoint
from devices.boards.nvidia import Nvidia
from devices.boards.power import read_meters


class NVMLError(Exception):
    """As the one of nvidia-ml-py."""


class Nvml:
    """What NVML says of two cards: a new one that tells all, and an old one that tells little."""

    NVMLError = NVMLError

    def __init__(self) -> None:
        self.reasons = 0x04 | 0x01 | 0x40
        self.energy_mj = 1000

    def nvmlInit(self) -> None:  # noqa: N802 (the names are NVML's)
        pass

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlSystemGetDriverVersion(self) -> bytes:  # noqa: N802
        return b"550.54.14"

    def nvmlDeviceGetName(self, card: int) -> str:  # noqa: N802
        return ("NVIDIA RTX A4000", "Quadro K620")[card]

    def nvmlDeviceGetClockInfo(self, card: int, kind: int) -> int:  # noqa: N802
        return {0: 1560, 2: 7001}[kind] if card == 0 else self._unsupported()

    def nvmlDeviceGetUtilizationRates(self, card: int) -> Any:  # noqa: N802
        return SimpleNamespace(gpu=37, memory=4) if card == 0 else self._unsupported()

    def nvmlDeviceGetTemperature(self, card: int, sensor: int) -> int:  # noqa: N802
        return (54, 41)[card]

    def nvmlDeviceGetTemperatureThreshold(self, card: int, threshold: int) -> int:  # noqa: N802
        return {0: 98, 1: 95}[threshold] if card == 0 else self._unsupported()

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, card: int) -> int:  # noqa: N802
        # Drivers before 535 have only this name.
        return self.reasons if card == 0 else self._unsupported()

    def nvmlDeviceGetTotalEnergyConsumption(self, card: int) -> int:  # noqa: N802
        return self.energy_mj if card == 0 else self._unsupported()

    def nvmlDeviceGetPowerUsage(self, card: int) -> int:  # noqa: N802
        return 6500 if card == 1 else 0

    def _unsupported(self) -> Any:
        raise NVMLError("Not Supported")


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    nvml = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    return nvml


def test_what_the_cards_say(board, nvml: Nvml) -> None:
    machine = Nvidia.detect(board("nvidia-desktop"))
    assert machine is not None
    assert machine.environment().packages["nvidia-driver"] == "550.54.14"
    load = machine.load()
    assert load.device_clocks == (
        DeviceClock("gpu0 NVIDIA RTX A4000 graphics", None, 1_560_000_000, load=0.37),
        DeviceClock("gpu0 NVIDIA RTX A4000 memory", None, 7_001_000_000),
    )
    assert load.thermal_zones == (
        ThermalZone("gpu0 NVIDIA RTX A4000", 54.0, 95.0, (TripPoint("critical", 98.0), TripPoint("passive", 95.0))),
        ThermalZone("gpu1 Quadro K620", 41.0, None),
    )
    # That it idles (0x01) is no throttling.
    assert load.throttled == (
        "gpu0 NVIDIA RTX A4000: power cap",
        "gpu0 NVIDIA RTX A4000: heat (hardware)",
    )
    nvml.reasons = 0x01
    assert machine.load().throttled == ()


def test_energy_where_it_is_counted_and_power_where_it_is_not(board, nvml: Nvml) -> None:
    (meter,) = Nvidia(board("nvidia-desktop")).power_meters()
    assert [(rail.name, rail.kind) for rail in meter.rails] == [
        ("gpu0 NVIDIA RTX A4000", "energy"),
        ("gpu1 Quadro K620", "power"),
    ]
    assert (meter.scope, meter.total) == ("gpu", tuple(rail.name for rail in meter.rails))

    def pass_time(_: float) -> None:
        nvml.energy_mj += 4000

    times = iter((0.0, 1.0, 1.0))
    (reading,) = read_meters((meter,), 1.0, lambda: next(times), pass_time)
    assert reading.milliwatts == (4000, 6500)


def test_the_cards_are_found_again_in_another_process(board, nvml: Nvml) -> None:
    """Neither the bindings nor their handles can be pickled."""
    machine = Nvidia(board("nvidia-desktop"))
    (meter,) = pickle.loads(pickle.dumps(machine.power_meters))()
    assert meter.total == machine.power_meters()[0].total


def test_a_card_that_falls_off_the_bus_is_a_gap(board, nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    (meter,) = Nvidia(board("nvidia-desktop")).power_meters()

    def lost(*_: object) -> int:
        raise NVMLError("GPU is lost")

    monkeypatch.setattr(nvml, "nvmlDeviceGetTotalEnergyConsumption", lost)
    assert meter.rails[0].read() is None


def test_a_card_that_counts_nothing_is_absent(board, nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "nvmlDeviceGetPowerUsage", lambda card: nvml._unsupported())
    machine = Nvidia(board("nvidia-desktop"))
    assert [len(meter.rails) for meter in machine.power_meters()] == [1]
    assert ("power of gpu1 Quadro K620", "not supported by the card") in {
        (absence.what, absence.why) for absence in machine.absences()
    }


def test_without_bindings_or_driver_the_cards_are_absent(board, nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver() -> None:
        raise NVMLError("Driver Not Loaded")

    monkeypatch.setattr(nvml, "nvmlInit", no_driver)
    silent = Nvidia(board("nvidia-desktop"))
    assert (silent.power_meters(), silent.load().device_clocks) == ((), None)
    assert "the driver does not answer (Driver Not Loaded)" in {absence.why for absence in silent.absences()}
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "needs the package nvidia-ml-py" in {absence.why for absence in Nvidia(silent.machine).absences()}
