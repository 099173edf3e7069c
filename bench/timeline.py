"""The timeline of one frame through one network: what is recorded, and what each span of it is called."""

from __future__ import annotations

from typing import Literal, NamedTuple

from devices.sources.base import Twin
from edge.runtime import Plan

# Which span of a frame a time covers.  "inference": input tensor ready -> scores, policy and decisions included, by the
# host's clock; on a device of its own without the copies to it and from it, which "with-transfers" has too.  "kernel":
# the stages alone, by the device's clock.  "capture-to-result": the frame has arrived -> scores, with the wait in the
# queue, detection, preprocessing and transfers.
Scope = Literal["kernel", "inference", "with-transfers", "capture-to-result"]

__all__ = ["FrameRecord", "Plan", "Scope", "Twin"]


class FrameRecord(NamedTuple):
    """One frame through one network.  Times are monotonic nanoseconds; None is "not measured".

    A tuple, since a frozen dataclass of this size takes 5 us to make, and one is made for every frame.

    `position` is the place in the order of this frame's networks (0 ran first).  `warm_up` frames are kept in the file
    and left out of every figure.  `predicted` is None when the frame failed; `error` then says why.

    A frame that comes when it is asked for (closed loop) has neither `wait_ns` nor `sequence`, and `capture_ns` is what
    getting it took.  One that comes on its own (open loop) has the number of its arrival, so that a gap is a dropped
    frame, and the time it waited until it was taken; `capture_ns` is then how long before its arrival the driver says
    it was taken.  `detect_ns` is the search for the region, where one was searched for.

    `twin` is the version of the frame that was shown, and `pair` the number that its versions share, where there are
    several.  On a device of its own `kernel_ns` and `transfer_ns` are what its clock says of the stages and of the
    copies, which `inference_ns`, by the host's clock, both has; `wasted_stages` were started before a decision that
    went the other way.  New columns go to the end, with a default: folders that were written before them are read.
    """

    frame: int
    name: str
    network: str
    position: int
    warm_up: bool
    arrival_ns: int
    capture_ns: int | None
    preprocess_ns: int
    policy_ns: int
    decision_ns: int
    segments_ns: int
    inference_ns: int
    route: str
    exit: int
    plan: Plan
    label: int | None
    predicted: int | None
    full_predicted: int | None
    error: str | None
    sequence: int | None = None
    wait_ns: int | None = None
    detect_ns: int | None = None
    twin: Twin | None = None
    pair: int | None = None
    kernel_ns: int | None = None
    transfer_ns: int | None = None
    wasted_stages: int | None = None

    @property
    def capture_to_result_ns(self) -> int:
        """In open loop from the driver's time where there is one, else from the arrival."""
        work_ns = (self.detect_ns or 0) + self.preprocess_ns + self.inference_ns
        return work_ns if self.wait_ns is None else (self.capture_ns or 0) + self.wait_ns + work_ns
