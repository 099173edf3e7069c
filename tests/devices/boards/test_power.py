"""Readers of power and energy: what they give, and what they do when a sensor goes away, jumps or talks nonsense."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.boards.power import (
    EnergyCounter,
    MeterReading,
    NumberFile,
    PowerMeter,
    Rail,
    Scaled,
    VoltageTimesCurrent,
    read_meters,
)

GARBAGE = ("", "n/a", "12.5", "1e9", "0x10", "\0\0", "12 34", "-", "9" * 70 + "x")


class Told:
    """A reader that gives what it was told to, and the same again at the end."""

    def __init__(self, values: Iterable[float | None]) -> None:
        self.values = list(values)
        self.closed = False

    def read(self) -> float | None:
        return self.values.pop(0) if len(self.values) > 1 else self.values[0]

    def close(self) -> None:
        self.closed = True


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now_s = 0.0
        self.step_s = step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_a_number_is_read_afresh_each_time(tmp_path: Path) -> None:
    path = tmp_path / "power1_input"
    path.write_text("12040000\n")
    reader = Scaled(path, 1e-3)
    assert reader.read() == pytest.approx(12040)
    path.write_text("7\n")
    assert reader.read() == pytest.approx(0.007)
    reader.close()


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_is_no_reading_and_passes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "in1_input"
    path.write_text(text)
    reader = NumberFile(path)
    assert reader.read() is None
    path.write_text("5048\n")
    assert reader.read() == 5048
    reader.close()


def test_a_sensor_that_went_away_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "curr1_input"
    path.write_text("128")
    reader = NumberFile(path)
    assert reader.read() == 128

    def gone(*_: object) -> bytes:
        raise OSError(19, "No such device")

    with monkeypatch.context() as patch:
        patch.setattr("os.pread", gone)
        assert reader.read() is None
    path.unlink()
    assert reader.read() is None
    path.write_text("130")
    assert reader.read() == 130
    reader.close()


@pytest.mark.parametrize(
    ("millivolts", "milliamperes", "milliwatts"),
    [
        ("19280", "128", 2467.84),
        ("5048", "-8", -40.384),  # noise around nothing
        ("0", "0", 0.0),
        ("65535", "128", None),  # beyond what the chip can measure
        ("-1", "128", None),
        ("5048", "n/a", None),
    ],
)
def test_power_is_voltage_times_current(
    tmp_path: Path, millivolts: str, milliamperes: str, milliwatts: float | None
) -> None:
    (tmp_path / "in1_input").write_text(millivolts)
    (tmp_path / "curr1_input").write_text(milliamperes)
    reader = VoltageTimesCurrent(tmp_path / "in1_input", tmp_path / "curr1_input")
    assert reader.read() == (None if milliwatts is None else pytest.approx(milliwatts))
    reader.close()


LARGEST = 262_143_328_850


@given(st.integers(0, LARGEST - 1), st.lists(st.integers(0, 5_000_000_000), max_size=30))
def test_energy_is_the_sum_of_the_steps_through_every_wrap(start: int, steps: list[int]) -> None:
    """Oracle: a counter that never wraps, beside one that does."""
    wrapping = [start]
    for step in steps:
        wrapping.append((wrapping[-1] + step) % LARGEST)
    counter = EnergyCounter(Told(map(float, wrapping)), 1e-3, float(LARGEST), Clock(step_s=1.0))
    expected = 0
    assert counter.read() == 0
    for step in steps:
        expected += step
        assert counter.read() == pytest.approx(expected * 1e-3, abs=1e-3)


@given(st.lists(st.one_of(st.none(), st.floats(-1e15, 1e15)), min_size=1), st.booleans())
def test_energy_never_falls_whatever_the_counter_says(values: list[float | None], wraps: bool) -> None:
    counter = EnergyCounter(Told(values), 1e-3, float(LARGEST) if wraps else None, Clock(step_s=0.01))
    seen = [energy for _ in values if (energy := counter.read()) is not None]
    assert seen == sorted(seen)


def test_a_jump_is_a_gap_and_counting_goes_on_behind_it() -> None:
    # 10 J, then a garbled reading of 10 MJ, then on from where it was: neither step is drawn energy.
    counter = EnergyCounter(Told([0.0, 10e6, 1e13, 11e6, 12e6]), 1e-3, None, Clock(step_s=1.0))
    assert [counter.read() for _ in range(5)] == [0, 10_000, None, None, 11_000]


def test_a_reset_without_a_range_is_a_gap() -> None:
    counter = EnergyCounter(Told([5e6, 6e6, 1e6, 2e6]), 1e-3, None, Clock(step_s=1.0))
    assert [counter.read() for _ in range(4)] == [0, 1000, None, 2000]


def _meter(*rails: Rail, total: tuple[str, ...] = ()) -> PowerMeter:
    return PowerMeter("meter", rails, total, 0.1, "board")


def test_meters_are_read_as_powers_and_mean_powers() -> None:
    clock = Clock()
    power, energy = Rail("VDD_IN", "power", Told([4760.0])), Rail("package-0", "energy", Told([0.0, 6000.0]))
    (reading,) = read_meters((_meter(power, energy, total=("VDD_IN",)),), 0.5, clock, clock.sleep)
    # 6 J in half a second are 12 W.
    assert reading.milliwatts == (4760, 12_000)
    assert reading.total_milliwatts == 4760


def test_nothing_is_waited_for_where_no_energy_is_counted() -> None:
    clock = Clock()
    read_meters((_meter(Rail("VDD_IN", "power", Told([1.0]))),), 0.5, clock, clock.sleep)
    assert clock.now_s == 0


@pytest.mark.parametrize(
    ("milliwatts", "total", "expected"),
    [
        ((1.0, 2.0), ("a", "b"), 3.0),
        ((1.0, None), ("a", "b"), None),
        ((None, 2.0), ("b",), 2.0),
        ((1.0, 2.0), (), None),
    ],
)
def test_a_total_is_known_only_with_all_its_parts(
    milliwatts: tuple[float | None, ...], total: tuple[str, ...], expected: float | None
) -> None:
    meter = _meter(Rail("a", "power", Told([0.0])), Rail("b", "power", Told([0.0])), total=total)
    assert MeterReading(meter, milliwatts).total_milliwatts == expected


def test_closing_a_meter_closes_its_readers() -> None:
    readers = [Told([0.0]), Told([0.0])]
    _meter(*(Rail(str(index), "power", reader) for index, reader in enumerate(readers))).close()
    assert all(reader.closed for reader in readers)
