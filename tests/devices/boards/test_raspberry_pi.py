"""Raspberry Pi boards: throttling as the firmware tells it, and the rails of a Raspberry Pi 5."""

from __future__ import annotations

import pytest
from boards.trees import says, write
from hypothesis import given
from hypothesis import strategies as st

from devices.boards.machine import Machine, Ran
from devices.boards.power import read_meters
from devices.boards.raspberry_pi import Pmic, RaspberryPi, parse_pmic, parse_throttled


def _why(board: RaspberryPi) -> dict[str, str]:
    return {absence.what: absence.why for absence in board.absences()}


def test_a_raspberry_pi_5_is_throttled_by_its_supply(board) -> None:
    load = RaspberryPi(board("raspberry-pi-5")).load()
    assert load.throttled == ("under-voltage", "throttled")
    assert load.throttled_before == ("under-voltage", "throttled")


def test_the_kernel_tells_it_where_it_can(board) -> None:
    load = RaspberryPi(board("raspberry-pi-4")).load()
    assert (load.throttled, load.throttled_before) == ((), ("frequency capped",))


@pytest.mark.parametrize(
    ("said", "bits"),
    [
        ("throttled=0x50005\n", 0x50005),
        ("throttled=0x0", 0),
        ("50005", 0x50005),
        ("0", 0),
        ("", None),
        ("VCHI initialization failed", None),
        ("throttled=", None),
        ("throttled=0x123456789", None),
    ],
)
def test_bits_of_throttling(said: str, bits: int | None) -> None:
    assert parse_throttled(said) == bits


def test_the_rails_of_a_raspberry_pi_5(board) -> None:
    (meter,) = RaspberryPi(board("raspberry-pi-5")).power_meters()
    (reading,) = read_meters((meter,), 0)
    rails = dict(zip((rail.name for rail in meter.rails), reading.milliwatts, strict=True))
    assert len(rails) == 12
    assert rails["VDD_CORE"] == pytest.approx(10.87674 * 0.8974594 * 1000)
    assert rails["3V7_WL_SW"] == 0
    # The input has a voltage and no current.
    assert "EXT5V" not in rails
    assert reading.total_milliwatts is None


def test_all_rails_of_a_sample_come_from_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def run(*_: object) -> Ran:
        nonlocal asked
        asked += 1
        return Ran(f"A_A current(0)={asked}.0A\nA_V volt(1)=1.0V\nB_A current(2)={asked}.0A\nB_V volt(3)=2.0V\n")

    monkeypatch.setattr(Machine, "run", run)
    pmic = Pmic(Machine())
    samples = [(pmic.read("A"), pmic.read("B")) for _ in range(3)]
    assert samples == [(1000, 2000), (2000, 4000), (3000, 6000)]


def test_a_power_chip_that_falls_silent_is_a_gap(board) -> None:
    machine = board("raspberry-pi-5")
    (meter,) = RaspberryPi(machine).power_meters()
    program = machine.root.parent / "bin/vcgencmd"
    answers = program.read_text()
    program.unlink()
    assert read_meters((meter,), 0)[0].milliwatts == (None,) * 12
    program.write_text(answers)
    program.chmod(0o755)
    assert None not in read_meters((meter,), 0)[0].milliwatts


def test_what_is_absent_says_why(board) -> None:
    assert _why(RaspberryPi(board("raspberry-pi-4")))["power rails"] == "not there"
    machine = board("raspberry-pi-5")
    assert _why(RaspberryPi(machine))["power of the whole board"] == "not there"
    (machine.root.parent / "bin/vcgencmd").unlink()
    missing = _why(RaspberryPi(machine))
    assert missing["power rails"] == missing["under-voltage and throttling"] == "needs the program vcgencmd"
    says(machine.root.parent / "bin/vcgencmd", "Can't open device file: /dev/vcio", status=255)
    refused = RaspberryPi(machine)
    assert _why(refused)["power rails"] == "vcgencmd fails (Can't open device file: /dev/vcio)"
    assert refused.load().throttled_before is None


def test_only_a_raspberry_pi_is_one(tmp_path) -> None:
    write(tmp_path, "proc/device-tree/model", "Raspberry Pi Zero 2 W Rev 1.0")
    assert RaspberryPi.detect(Machine(tmp_path)) is not None
    write(tmp_path, "proc/device-tree/model", "Radxa ROCK 5B")
    assert RaspberryPi.detect(Machine(tmp_path)) is None


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    parse_throttled(text)
    parse_pmic(f"A_A current(0)={text}A\nA_V volt(1)={text}V")
