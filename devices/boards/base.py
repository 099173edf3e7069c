"""What a run records of the machine under it: once what it is, before and after what it did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Environment:
    """What the machine is.  None, or an empty set of packages, is "not found".

    `cores_usable` are those that this process may run on.  `board` is what a single-board computer calls itself;
    `l4t_release` is the Jetson's system release ("36.4.3").  `virtual_machine` and `container` name what stands between
    program and hardware, as far as it shows itself.  `packages` are installed versions by name.
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
class ThermalZone:
    """A thermometer; from `throttle_celsius`, its lowest passive trip point, the kernel slows the machine down."""

    name: str
    celsius: float | None
    throttle_celsius: float | None


@dataclass(frozen=True, slots=True)
class Load:
    """What the machine is doing; counters run since start-up, and a sensor that is missing is None.

    `own_cpu_seconds` is what this process has used, all threads.  `load_average` covers 1, 5 and 15 minutes.
    `throttle_events` sums what x86 cores (heat) and Jetson boards (over-current) count.
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
