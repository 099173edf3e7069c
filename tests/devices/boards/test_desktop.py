"""Machines with RAPL counters and hwmon sensors."""

from __future__ import annotations

import platform

import pytest
from boards.trees import write

from devices.boards.base import ThermalZone, TripPoint
from devices.boards.linux import Linux
from devices.boards.power import PowerMeter


@pytest.fixture(autouse=True)
def on_x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


def _meters(board: Linux) -> dict[str, PowerMeter]:
    return {meter.name: meter for meter in board.power_meters()}


def test_packages_and_platform_are_meters_of_their_own(board) -> None:
    meters = _meters(Linux(board("linux-desktop")))
    assert set(meters) == {"rapl", "rapl psys", "amdgpu"}
    # The memory-mapped copy of the package is not counted again, and its cores are a part of it.
    assert [rail.name for rail in meters["rapl"].rails] == ["package-0", "package-0/core"]
    assert (meters["rapl"].total, meters["rapl"].scope) == (("package-0",), "cpu package")
    assert (meters["rapl psys"].total, meters["rapl psys"].scope) == (("psys",), "board")
    assert (meters["amdgpu"].total, meters["amdgpu"].scope) == (("PPT",), "gpu")
    assert meters["amdgpu"].rails[0].read() == 13_000


def test_a_package_counter_goes_on_through_its_wrap(board) -> None:
    machine = board("linux-desktop")
    package = _meters(Linux(machine))["rapl"].rails[0]
    assert package.read() == 0
    # 328.85 mJ to the end of the range, and a millijoule behind it.
    write(machine.root, "sys/class/powercap/intel-rapl:0/energy_uj", "1000")
    assert package.read() == pytest.approx(329.85)


def test_counters_that_only_root_reads_are_absent_with_the_remedy(board, forbid) -> None:
    machine = board("linux-desktop")
    forbid("energy_uj")
    desktop = Linux(machine)
    assert set(_meters(desktop)) == {"amdgpu"}
    (absence,) = (absence for absence in desktop.absences() if "processor package" in absence.what)
    assert absence.why == "needs root"
    assert "sudo chmod a+r" in (absence.advice or "")


def test_a_machine_without_counters_says_so(board) -> None:
    absences = {absence.what: absence.why for absence in Linux(board("nvidia-desktop")).absences()}
    assert absences["energy of the processor package"] == "not there"


def test_chips_without_a_zone_are_thermometers_and_screens_throttle_nothing(board) -> None:
    load = Linux(board("linux-desktop")).load()
    assert load.thermal_zones == (ThermalZone("coretemp Package id 0", 41.0, None, (TripPoint("critical", 100.0),)),)
    assert (load.throttled, load.throttle_events) == ((), 2)
    assert (load.swap_total_bytes, load.swap_free_bytes) == (0, 0)


@pytest.mark.parametrize("counted", ["-5", "n/a", ""])
def test_a_garbled_event_counter_is_left_out(board, counted: str) -> None:
    machine = board("linux-desktop")
    write(machine.root, "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", counted)
    assert Linux(machine).load().throttle_events == 2


def test_other_power_chips_are_rails_without_a_whole(board) -> None:
    machine = board("linux-desktop")
    write(machine.root, "sys/class/hwmon/hwmon9/name", "ina226")
    write(machine.root, "sys/class/hwmon/hwmon9/power1_input", "2500000")
    write(machine.root, "sys/class/hwmon/hwmon9/energy1_input", "1000000")
    meter = _meters(Linux(machine))["ina226"]
    assert [(rail.name, rail.kind) for rail in meter.rails] == [
        ("ina226 energy1", "energy"),
        ("ina226 power1", "power"),
    ]
    assert (meter.total, meter.scope) == ((), "board")
    assert [rail.read() for rail in meter.rails] == [0, 2500]
