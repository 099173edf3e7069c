"""What a run records of the machine under it: once what it is, before and after what it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from devices.boards.machine import Machine
from devices.boards.power import PowerMeter


@dataclass(frozen=True, slots=True)
class Environment:
    """What the machine is.  None, or an empty set of packages, is "not found".

    `cores_usable` are those that this process may run on.  `board` is what a single-board computer calls itself;
    `l4t_release` is the Jetson's system release ("36.4.3"), `jetpack` the JetPack that it belongs to ("6.2"; "6.2.x"
    where only the line is known) and `power_mode` what nvpmodel calls the mode that is set.  `virtual_machine` and
    `container` name what stands between program and hardware, as far as it shows itself.  `packages` are installed
    versions by name.
    """

    architecture: str
    cpu_model: str | None
    cores_present: tuple[int, ...] | None
    cores_online: tuple[int, ...] | None
    cores_usable: tuple[int, ...] | None
    memory_bytes: int | None
    kernel: str | None
    operating_system: str | None
    board: str | None
    l4t_release: str | None
    virtual_machine: str | None
    container: str | None
    python: str
    packages: dict[str, str]
    jetpack: str | None = None
    power_mode: str | None = None


@dataclass(frozen=True, slots=True)
class CoreTime:
    """What a core has done since start-up, in seconds; `steal` is what the hypervisor kept back, and part of `busy`."""

    core: int
    busy: float
    idle: float
    steal: float


@dataclass(frozen=True, slots=True)
class CoreClock:
    """The frequency of a core in kHz, the bounds within which its governor moves it, and the governor."""

    core: int
    governor: str | None
    current_khz: int | None
    min_khz: int | None
    max_khz: int | None

    @property
    def pinned(self) -> bool | None:
        """Whether the frequency cannot move."""
        if self.min_khz is None or self.max_khz is None:
            return None
        return self.min_khz == self.max_khz


@dataclass(frozen=True, slots=True)
class DeviceClock:
    """The frequency of a part that is no core (GPU, memory, ...) in Hz, its bounds, and its load in [0, 1].

    `forced` is whether it was fixed by other means than its bounds, as a Jetson does with its memory.
    """

    name: str
    governor: str | None = None
    current_hz: int | None = None
    min_hz: int | None = None
    max_hz: int | None = None
    load: float | None = None
    forced: bool | None = None

    @property
    def pinned(self) -> bool | None:
        """Whether the frequency cannot move."""
        if self.forced is not None:
            return self.forced
        if self.min_hz is None or self.max_hz is None:
            return None
        return self.min_hz == self.max_hz


@dataclass(frozen=True, slots=True)
class TripPoint:
    """A temperature at which something happens: `kind` is the kernel's word (active, passive, hot, critical)."""

    kind: str
    celsius: float


@dataclass(frozen=True, slots=True)
class ThermalZone:
    """A thermometer; from `throttle_celsius`, its lowest passive trip point, the kernel slows the machine down."""

    name: str
    celsius: float | None
    throttle_celsius: float | None
    trips: tuple[TripPoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Load:
    """What the machine is doing; counters run since start-up, and a sensor that is missing is None.

    `own_cpu_seconds` is what this process has used, all threads.  `load_average` covers 1, 5 and 15 minutes.
    `throttle_events` sums what x86 cores (heat) and Jetson boards (over-current) count.  `throttled` names what slows
    the machine down at this moment, `throttled_before` what has done so since it was started; both are empty where
    nothing does.
    """

    monotonic_ns: int
    cores_usable: tuple[int, ...] | None
    cores: tuple[CoreTime, ...] | None
    own_cpu_seconds: float | None
    load_average: tuple[float, float, float] | None
    clocks: tuple[CoreClock, ...] | None
    thermal_zones: tuple[ThermalZone, ...] | None
    throttle_events: int | None
    swapped_in_pages: int | None
    swapped_out_pages: int | None
    memory_available_bytes: int | None
    swap_total_bytes: int | None = None
    swap_free_bytes: int | None = None
    device_clocks: tuple[DeviceClock, ...] | None = None
    throttled: tuple[str, ...] | None = None
    throttled_before: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Absence:
    """Something a board could tell and does not: why ("not there", "needs root", ...), and what can be done."""

    what: str
    why: str
    advice: str | None = None


class Board(Protocol):
    """A machine of one family, asked what it is and what its sensors say; asking changes nothing on it."""

    family: ClassVar[str]

    @classmethod
    def detect(cls, machine: Machine) -> Board | None:
        """The board, if the machine is one of this family."""
        ...

    def environment(self) -> Environment:
        """What it is; may run programs of the board, which takes tenths of a second."""
        ...

    def load(self, *, thorough: bool = False) -> Load:
        """What it is doing; with `thorough`, programs of the board are asked for what files do not tell."""
        ...

    def power_meters(self) -> tuple[PowerMeter, ...]:
        """The power and energy sensors that can be read now."""
        ...

    def absences(self) -> tuple[Absence, ...]:
        """What it does not tell, and why."""
        ...


# The kernel counts core time in steps of 10 ms; over less than this, the steps are what one would see.
MIN_INTERVAL_S = 0.5


def share_of_other_processes(before: Load, after: Load) -> float | None:
    """The share of the usable cores' time, in [0, 1], that went to others between two loads: processes, kernel, steal.

    None if it was not measured, or over less than half a second.
    """
    seconds = (after.monotonic_ns - before.monotonic_ns) / 1e9
    if seconds < MIN_INTERVAL_S or after.cores_usable is None or before.cores is None or after.cores is None:
        return None
    if before.own_cpu_seconds is None or after.own_cpu_seconds is None:
        return None
    earlier = {time.core: time.busy for time in before.cores}
    # A core that was switched on or off in between has no difference.
    busy = [
        time.busy - earlier[time.core]
        for time in after.cores
        if time.core in earlier and time.core in after.cores_usable
    ]
    if not busy:
        return None
    others = sum(busy) - (after.own_cpu_seconds - before.own_cpu_seconds)
    return min(1.0, max(0.0, others / (seconds * len(busy))))
