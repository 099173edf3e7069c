"""What the runtime asks of a backend."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.network import Segment

# Features between two segments of one backend: whatever is cheapest for it (an array, a device buffer).
Features = Any


class BackendError(RuntimeError):
    """A backend cannot be had or cannot run a network: one sentence that says why and what to do."""


class DeviceLostError(BackendError):
    """The device that computes is gone in the middle of a run: one sentence; nothing can be run any more."""


class DeviceTimes(NamedTuple):
    """What a frame was on a device of its own, by that device's clock; None is "not measured".

    `kernel_ns` is the time of the stages, `transfer_ns` that of the copies between it and the host.  `wasted_stages`
    ran for nothing, started before a decision that went the other way.
    """

    kernel_ns: int | None = None
    transfer_ns: int | None = None
    wasted_stages: int | None = None


NO_DEVICE_TIMES = DeviceTimes()


class Executable(Protocol):
    """A compiled segment.

    `plan` says how it ran last, for the record: "fused" (one graph for the whole segment), "chain" (stage by stage) or
    "cold" (something had to be compiled first).
    """

    @property
    def plan(self) -> str: ...

    def run(self, features: Features) -> tuple[Features | None, NDArray[np.float32]]:
        """(features for the next segment or None, scores (outputs,)).

        `features` is the input image as a C-contiguous float32 array (1, 3, h, w) for a first segment, and what the
        previous segment gave for a later one.  The scores array is the caller's to keep: it is not written again.
        """


class Backend(Protocol):
    """Compiles segments of one loaded network; made anew for every network.

    A backend is a dataclass of its options with `open(models, threads)`; one with `computes = False` gives no answers
    that could be right or wrong.  One that computes on a device of its own may have `device_times()`, which gives the
    `DeviceTimes` of the frame that ended last, and `runtime(controller, random)`, which gives who runs whole frames in
    place of `edge.runtime.Runtime`, or None.  One may have `remarks() -> list[str]`: what a user should know of its
    opening, such as why something was built anew.
    """

    def compile(self, segment: Segment) -> Executable:
        """An executable for the segment; its memory is freed when it is dropped."""

    def describe(self) -> dict[str, str]:
        """Name, version, plan and settings, for the record."""

    def close(self) -> None:
        """Free everything; executables must not be run afterwards."""
