"""A segment on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.backends.base import Features
from edge.backends.cuda.device import Device
from edge.backends.cuda.memory import Call
from edge.network import Segment

if TYPE_CHECKING:
    from edge.backends.cuda.backend import OpenedCuda


class Marks:
    """Where in the stream one launch began, where its stages ended, and where its scores had reached the host."""

    __slots__ = ("done", "kernels_begin", "kernels_end")

    def __init__(self, device: Device) -> None:
        self.kernels_begin, self.kernels_end, self.done = device.event(), device.event(), device.event()


class CudaExecutable:
    """Enqueues a segment's stages back to back, and waits once, for its scores.

    Features are addresses.  With speculation the segment that followed last time is enqueued before the wait.
    """

    def __init__(self, owner: OpenedCuda, segment: Segment) -> None:
        self.segment = segment
        self.plan: str = owner.plan
        # The policy's frame is that of the segments after it.
        self._looks_ahead = segment.head == owner.network.policy
        self.stage_count = len(segment.stages) + 1
        self.follower: CudaExecutable | None = None
        self._owner = owner
        self.marks = Marks(owner.device)
        self._answer = owner.answer(segment.head)
        # Where it reads decides which graph: nearly always the same place.
        self._calls: dict[int, tuple[tuple[Call, ...], int]] = {}

    def run(self, features: Features) -> tuple[Features | None, NDArray[np.float32]]:
        owner = self._owner
        with owner.guarded:
            source = features if isinstance(features, int) else owner.arrive(features, keep=self._looks_ahead)
            if not owner.started_early(self, source):
                self.launch(source)
            behind = self.calls(source)[1]
            owner.ran(self)
            if owner.speculates and self.follower is not None:
                owner.start_early(self.follower, behind)
            self.marks.done.wait()
        return (behind if self.segment.continues else None), self._answer.copy()

    def launch(self, source: int) -> None:
        """Enqueue it all, scores included."""
        owner = self._owner
        self.plan = owner.plan
        graph = owner.graph(self, source)
        stream = owner.stream
        marks = self.marks
        marks.kernels_begin.record(stream)
        if graph is not None:
            graph.launch(stream)
        else:
            owner.enqueue(self.calls(source)[0])
        marks.kernels_end.record(stream)
        owner.send_scores(self.segment.head)
        marks.done.record(stream)

    def place(self, source: int, calls: tuple[Call, ...]) -> None:
        """Let it enqueue other calls than its segment's when it reads there."""
        self._calls[source] = (calls, source)

    def calls(self, source: int) -> tuple[tuple[Call, ...], int]:
        """What it enqueues when it reads there, and where its features are then."""
        found = self._calls.get(source)
        if found is None:
            found = self._calls[source] = self._owner.placed(self.segment, source)
        return found
