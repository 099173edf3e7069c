"""The timeline of one frame through one network: what is recorded, and what each span of it is called."""

from __future__ import annotations

from typing import Literal, NamedTuple

from edge.runtime import Plan

# Which span of a frame a time covers.  "inference": input tensor ready -> scores, policy and decisions included;
# "capture-to-result": the frame has arrived -> scores, preprocessing included.  ("kernel" and "with-transfers" are for
# backends with a device of their own.)
Scope = Literal["kernel", "inference", "with-transfers", "capture-to-result"]

__all__ = ["FrameRecord", "Plan", "Scope"]


class FrameRecord(NamedTuple):
    """One frame through one network.  Times are monotonic nanoseconds; None is "not measured".

    A tuple, since a frozen dataclass of this size takes 5 us to make, and one is made for every frame.

    `position` is the place in the order of this frame's networks (0 ran first).  `warm_up` frames are kept in the file
    and left out of every figure.  `predicted` is None when the frame failed; `error` then says why.
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

    @property
    def capture_to_result_ns(self) -> int:
        return self.preprocess_ns + self.inference_ns
