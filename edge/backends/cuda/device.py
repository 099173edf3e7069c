"""What the layer asks of a CUDA device; pycuda gives it, and so does a test's double."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.backends.base import BackendError, DeviceLostError

# How the host waits: asking again and again on its core (the least delay), or asleep until the driver wakes it.
Wait = Literal["spin", "block"]


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """`driver` is the CUDA version of the driver, 12040 for 12.4; `integrated` shares its memory with the host."""

    name: str
    capability: str
    driver: int
    integrated: bool


@dataclass(frozen=True, slots=True)
class Pinned:
    """Host memory (bytes,) uint8 that the device can copy from and to; `address` is its own view of it if mapped."""

    array: NDArray[np.uint8]
    address: int | None


class Stream(Protocol):
    """Work in order; `handle` is a CUstream, for who enqueues by itself."""

    @property
    def handle(self) -> int: ...


class Event(Protocol):
    """A mark in a stream."""

    def record(self, stream: Stream) -> None: ...

    def wait(self) -> None:
        """Until the stream has come here, in the way that the device was opened with."""

    def since_ns(self, earlier: Event) -> int:
        """Device time between two marks that have both been passed."""


class Device(Protocol):
    """One device of this process.  Its calls raise `errors`, of which `out_of_memory` leaves the device usable."""

    facts: DeviceFacts
    wait: Wait
    errors: tuple[type[Exception], ...]
    out_of_memory: type[Exception]

    def allocate(self, size_bytes: int) -> int:
        """The address of device memory, which `close` frees."""

    def pinned(self, size_bytes: int, *, mapped: bool) -> Pinned: ...

    def free_bytes(self) -> int: ...

    def stream(self) -> Stream: ...

    def event(self) -> Event: ...

    def upload(self, target: int, source: NDArray[np.uint8], stream: Stream) -> None:
        """Enqueue a copy of pinned memory to the device."""

    def download(self, target: NDArray[np.uint8], source: int, stream: Stream) -> None:
        """Enqueue a copy from the device to pinned memory."""

    def copy(self, target: int, source: int, size_bytes: int, stream: Stream) -> None:
        """Enqueue a copy on the device."""

    def synchronise(self, stream: Stream) -> None: ...

    def close(self) -> None: ...


def lost(device: Device, error: Exception) -> DeviceLostError:
    """What a failed call in the middle of a run means: CUDA reports the fault of earlier work, and keeps it."""
    said = str(error).strip().splitlines()
    return DeviceLostError(
        f"{device.facts.name} stopped working ({said[0] if said else type(error).__name__}): "
        "look at the kernel's log (dmesg), and run again"
    )


def no_memory(device: Device, wanted_bytes: int, what: str) -> BackendError:
    """One sentence for memory that cannot be had."""
    return BackendError(
        f"{device.facts.name} has no {_mebibytes(wanted_bytes)} for {what}: stop other programs, or choose a smaller "
        "model or precision=fp16"
    )


def _mebibytes(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MiB"
