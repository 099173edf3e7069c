"""From two looks at the machine to what the verdict is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.conditions import Look, conditions_between, look
from bench.machine_findings import Conditions
from devices.boards.base import CoreClock, CoreTime, Load, ThermalZone
from devices.boards.detection import detect

BLIND = Load(0, None, None, None, None, None, None, None, None, None, None)


def clock(core: int, low: int | None, high: int | None, governor: str | None = "schedutil") -> CoreClock:
    return CoreClock(core, governor, high, low, high)


def between(before: Load, after: Load) -> Conditions:
    return conditions_between(Look(before, 100.0, 5.0), Look(after, 110.0, 15.0))


def test_a_machine_without_sensors_says_nothing() -> None:
    assert between(BLIND, BLIND) == Conditions(clock_jump_s=0.0)


def test_counters_are_told_by_how_much_they_grew() -> None:
    before = replace(BLIND, throttle_events=3, swapped_in_pages=10, swapped_out_pages=20)
    after = replace(BLIND, throttle_events=5, swapped_in_pages=11, swapped_out_pages=25)

    seen = between(before, after)

    assert (seen.throttle_events, seen.swapped_pages) == (2, 6)


def test_other_processes_are_those_that_are_not_ours() -> None:
    before = replace(BLIND, cores_usable=(0, 1), cores=(CoreTime(0, 5, 5, 0), CoreTime(1, 5, 5, 0)), own_cpu_seconds=1)
    after = replace(
        before,
        monotonic_ns=10_000_000_000,
        cores=(CoreTime(0, 13, 7, 0), CoreTime(1, 7, 13, 0)),
        own_cpu_seconds=8,
    )

    assert between(before, after).others_share == pytest.approx(3 / 20)


@pytest.mark.parametrize(
    ("clocks", "pinned"),
    [
        ((clock(0, 5, 5), clock(1, 5, 5)), True),
        ((clock(0, 5, 5), clock(1, 1, 5)), False),
        ((clock(0, 5, 5), clock(9, 1, 5)), True),
        ((clock(0, None, 5),), None),
        ((), None),
    ],
)
def test_clocks_are_pinned_where_this_process_may_run(clocks: tuple[CoreClock, ...], pinned: bool | None) -> None:
    assert between(BLIND, replace(BLIND, cores_usable=(0, 1), clocks=clocks)).clocks_pinned is pinned


def test_governors_are_told_once_each() -> None:
    clocks = (clock(0, 1, 5), clock(1, 1, 5), clock(2, 1, 5, "powersave"), clock(3, 1, 5, None))

    assert between(BLIND, replace(BLIND, clocks=clocks)).governors == ("powersave", "schedutil")


@pytest.mark.parametrize(
    ("zones", "hottest"),
    [
        ([ThermalZone("cpu", 70, 95), ThermalZone("gpu", 68, 80)], (68, 80)),
        ([ThermalZone("cpu", 70, 95), ThermalZone("board", 99, None)], (70, 95)),
        ([ThermalZone("cpu", 60, None), ThermalZone("board", 65, None)], (65, None)),
        ([ThermalZone("cpu", None, 95)], (None, None)),
    ],
)
def test_the_zone_nearest_to_its_limit_is_told(
    zones: list[ThermalZone], hottest: tuple[float | None, float | None]
) -> None:
    seen = between(BLIND, replace(BLIND, thermal_zones=tuple(zones)))

    assert (seen.hottest_c, seen.trip_c) == hottest


def test_a_clock_that_was_set_shows() -> None:
    seen = conditions_between(Look(BLIND, 100.0, 5.0), Look(BLIND, 3710.0, 15.0))

    assert seen.clock_jump_s == 3600.0


def test_what_slows_the_board_down_is_told_once_and_old_stories_are_not() -> None:
    before = replace(BLIND, throttled=("under-voltage",), throttled_before=("under-voltage", "throttled"))
    after = replace(before, throttled=(), throttled_before=("under-voltage", "throttled", "frequency capped"))

    assert between(before, after).throttled == ("under-voltage", "frequency capped")
    assert between(after, after).throttled == ()


def test_this_machine_can_be_looked_at() -> None:
    board = detect()

    assert conditions_between(look(board), look(board)).clock_jump_s == pytest.approx(0.0, abs=1.0)
