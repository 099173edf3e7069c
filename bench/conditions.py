"""What the machine did during a run, from two looks at it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.machine_findings import Conditions
from devices.boards.base import Board, Load, ThermalZone, share_of_other_processes


@dataclass(frozen=True, slots=True)
class Look:
    """The machine's load, and the wall clock beside the monotonic one, in seconds."""

    load: Load
    wall_s: float
    monotonic_s: float


def look(board: Board) -> Look:
    """The board now."""
    return Look(board.load(), time.time(), time.monotonic())


def conditions_between(before: Look, after: Look) -> Conditions:
    """What happened from one look to the other; a sensor that is missing stays None."""
    clocks = [clock for clock in after.load.clocks or () if clock.core in (after.load.cores_usable or (clock.core,))]
    pinned = [clock.pinned for clock in clocks if clock.pinned is not None]
    zone = _nearest_to_trip((before.load.thermal_zones or ()) + (after.load.thermal_zones or ()))
    return Conditions(
        others_share=share_of_other_processes(before.load, after.load),
        swapped_pages=_grown(_swapped(before.load), _swapped(after.load)),
        clocks_pinned=all(pinned) if pinned else None,
        governors=tuple(sorted({clock.governor for clock in clocks if clock.governor is not None})),
        throttle_events=_grown(before.load.throttle_events, after.load.throttle_events),
        hottest_c=None if zone is None else zone.celsius,
        trip_c=None if zone is None else zone.throttle_celsius,
        throttled=_throttled(before.load, after.load),
        clock_jump_s=(after.wall_s - before.wall_s) - (after.monotonic_s - before.monotonic_s),
    )


def _throttled(before: Load, after: Load) -> tuple[str, ...]:
    """What slowed the board down at either look, or has first done so in between."""
    since = [each for each in after.throttled_before or () if each not in (before.throttled_before or ())]
    return tuple(dict.fromkeys([*(before.throttled or ()), *(after.throttled or ()), *since]))


def _swapped(load: Load) -> int | None:
    if load.swapped_in_pages is None or load.swapped_out_pages is None:
        return None
    return load.swapped_in_pages + load.swapped_out_pages


def _grown(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _nearest_to_trip(zones: tuple[ThermalZone, ...]) -> ThermalZone | None:
    """The zone that is closest to being slowed down; the hottest one where no zone says when that is."""

    def heat(zone: ThermalZone) -> tuple[bool, float]:
        celsius = zone.celsius or 0.0
        return zone.throttle_celsius is not None, celsius - (zone.throttle_celsius or 0.0)

    return max((zone for zone in zones if zone.celsius is not None), key=heat, default=None)
