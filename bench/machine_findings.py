"""What the machine did during a run, and what of it speaks against the figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.summary import Finding

OTHERS_LIMIT = 0.10
SWAPPED_PAGES_LIMIT = 256
TRIP_MARGIN_C = 5.0
CLOCK_JUMP_LIMIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the machine did between the first frame and the last; None is "not measured".

    `others_share` is the share in [0, 1] of the usable cores' time that other processes took, `swapped_pages` the pages
    read from and written to swap, `trip_c` the temperature at which the zone of `hottest_c` is cooled by slowing down,
    `clock_jump_s` by how much the wall clock advanced more than the monotonic one, `throttled` what slowed the board
    down, in its own words.
    """

    others_share: float | None = None
    swapped_pages: int | None = None
    clocks_pinned: bool | None = None
    governors: tuple[str, ...] = ()
    throttle_events: int | None = None
    hottest_c: float | None = None
    trip_c: float | None = None
    clock_jump_s: float | None = None
    throttled: tuple[str, ...] = ()


def judge_machine(machine: Conditions) -> Iterator[Finding]:
    if machine.others_share is not None and machine.others_share > OTHERS_LIMIT:
        yield Finding(
            "other processes were on the cores",
            f"they took {machine.others_share:.0%} of the usable cores' time (limit {OTHERS_LIMIT:.0%})",
            "find them with top, stop them and run again",
        )
    if machine.swapped_pages is not None and machine.swapped_pages >= SWAPPED_PAGES_LIMIT:
        yield Finding(
            "the machine swapped",
            f"{machine.swapped_pages} pages went in or out during the run (limit {SWAPPED_PAGES_LIMIT})",
            "free memory (free -h shows what there is) and run again",
        )
    if machine.throttle_events:
        yield Finding(
            "the machine throttled",
            f"{machine.throttle_events} throttle events during the run (limit 0)",
            "cool the board, or choose a power mode that it can hold, and run again",
        )
    if machine.throttled:
        yield Finding(
            "the board slowed down",
            f"it reports {', '.join(machine.throttled)}",
            "give it a stronger power supply or more cooling, and run again",
        )
    yield from _heat(machine)
    yield from _clocks(machine)
    if machine.clock_jump_s is not None and abs(machine.clock_jump_s) > CLOCK_JUMP_LIMIT_S:
        yield Finding(
            "the wall clock jumped",
            f"by {machine.clock_jump_s:+.1f} s against the monotonic clock (limit {CLOCK_JUMP_LIMIT_S:.0f} s)",
            "frame times are not affected; if the machine was suspended, run again",
            "note",
        )


def _heat(machine: Conditions) -> Iterator[Finding]:
    hottest, trip = machine.hottest_c, machine.trip_c
    if hottest is not None and trip is not None and hottest >= trip - TRIP_MARGIN_C:
        yield Finding(
            "the machine is hot",
            f"hottest zone {hottest:.1f} °C, slowed down from {trip:.1f} °C (margin {TRIP_MARGIN_C:.0f} °C)",
            "cool the board and run again",
            "warning" if hottest >= trip else "note",
        )


def _clocks(machine: Conditions) -> Iterator[Finding]:
    if machine.clocks_pinned:
        return
    unpinned = machine.clocks_pinned is False
    governors = f", governor {', '.join(machine.governors)}" if machine.governors else ""
    yield Finding(
        "the clocks are not pinned" if unpinned else "whether the clocks are pinned is unknown",
        ("their lowest and highest speed differ" if unpinned else "no clock speeds to read") + governors,
        "pin them where you can: sudo jetson_clocks, or sudo cpupower frequency-set -g performance",
        "note",
    )
