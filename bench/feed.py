"""How frames reach the networks: when they are asked for (closed loop), or when they come (open loop)."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter_ns
from typing import NamedTuple, Protocol

from bench.records import Arrivals
from bench.stopping import Stopping
from devices.sources.base import Frame, Source
from devices.sources.capture import Capture


class Arrival(NamedTuple):
    """A frame for the networks.

    In open loop, `arrival_ns` is when it arrived (`time.monotonic_ns`) and `sequence` its number among all that did;
    None in closed loop, where a frame arrives when it is taken.  `capture_ns`: see `FrameRecord`.
    """

    frame: Frame
    capture_ns: int | None
    arrival_ns: int | None = None
    sequence: int | None = None


class Feed(Protocol):
    """Where a measurement gets its frames from."""

    @property
    def length(self) -> int | None:
        """How many frames there are, or None without an end."""

    def first(self, stopping: Stopping) -> Frame | None:
        """A frame to warm up with, which is not lost by that; None where there is none."""

    def arrivals(self, stopping: Stopping) -> Iterator[Arrival]:
        """The frames, from the first on."""

    def close(self, processed: int) -> Arrivals | None:
        """End the capture, of whose frames so many were processed; None in closed loop, where none can be lost."""


class ClosedLoop:
    """The next frame is fetched when the last one is done: as fast as possible, and none is lost."""

    def __init__(self, source: Source) -> None:
        self.length = source.length
        self._source = source
        self._frames: Iterator[Arrival] | None = None
        self._first: Arrival | None = None

    def first(self, stopping: Stopping) -> Frame | None:
        self._frames = captured(self._source, stopping)
        self._first = next(self._frames, None)
        return None if self._first is None else self._first.frame

    def arrivals(self, stopping: Stopping) -> Iterator[Arrival]:
        if self._first is not None and self._frames is not None:
            yield self._first
            self._first = None
            yield from self._frames

    def close(self, processed: int) -> None:
        """Nothing runs on its own."""


class OpenLoop:
    """Frames come when they come, and wait in the queue of the capture until the networks are free.

    With `sampled`, the newest frame is taken and counts as arriving then: two networks that see it one after the other
    are not those that would keep up with the camera, so only their own time is measured.
    """

    def __init__(self, capture: Capture, length: int | None, *, sampled: bool = False) -> None:
        self.length = length
        self._capture, self._sampled = capture, sampled

    def first(self, stopping: Stopping) -> Frame | None:
        with stopping.waiting():
            return self._capture.first()

    def arrivals(self, stopping: Stopping) -> Iterator[Arrival]:
        while True:
            with stopping.waiting():
                captured = next(self._capture, None)
            if captured is None:
                return
            frame, arrival_ns, sequence = captured
            if self._sampled:
                yield Arrival(frame, None)
            else:
                yield Arrival(frame, _driver_to_arrival(frame, arrival_ns), arrival_ns, sequence)

    def close(self, processed: int) -> Arrivals | None:
        capture = self._capture
        capture.close()
        if self._sampled:
            return None
        # A signal can come between a frame's leaving the queue and its arrival here: it counts as queued.
        queued = capture.arrived - capture.dropped - processed
        return Arrivals(capture.arrived, processed, capture.dropped, queued, capture.late)


def captured(source: Source, stopping: Stopping) -> Iterator[Arrival]:
    """The frames of a source, each fetched when it is asked for."""
    frames = source.frames()
    while True:
        began = perf_counter_ns()
        with stopping.waiting():
            frame = next(frames, None)
        if frame is None:
            return
        yield Arrival(frame, perf_counter_ns() - began)


def _driver_to_arrival(frame: Frame, arrival_ns: int) -> int | None:
    """How long before its arrival a frame was taken; a driver with a clock of its own cannot tell."""
    if frame.captured_ns is None or frame.captured_ns > arrival_ns:
        return None
    return arrival_ns - frame.captured_ns
