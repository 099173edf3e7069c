"""Frames taken in a thread of their own, while the network is busy; what is too late for it is counted, not hidden."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from threading import Condition, Event, Thread
from time import monotonic_ns
from typing import Literal, NamedTuple

from devices.sources.base import Frame, Source, SourceError, is_live

# "newest": one place, the newest frame wins; "all": every frame, in order; a number: the newest so many.
Queue = Literal["newest", "all"] | int

# What may wait with the queue "all"; a network that is too slow for its source would fill the memory of a board.
MAX_WAITING_BYTES = 512 * 2**20
NANOSECONDS_PER_S = 1_000_000_000
# What a busy machine may take to wake a thread is no fault of the source.
LATE_PERIODS = 0.1
# Waits are cut into pieces, so that an end that is asked for meanwhile is seen.
WAIT_S = 0.1
# A thread that hangs in a driver is left behind after twice this.
JOIN_S = 0.4


class Captured(NamedTuple):
    """A frame, when it arrived (`time.monotonic_ns`), and its number among all that arrived, from 0."""

    frame: Frame
    arrival_ns: int
    sequence: int


class Capture:
    """Runs `source.frames()` in a thread, and is the iterator of what it gave: `for captured in Capture(source): ...`.

    A source with a schedule (`Paced`, a recorded clip) is held to it whatever the consumer does: its frames arrive at
    the time they were due, so that a stall of the consumer counts.  A frame that the source itself had ready too late
    (by more than a tenth of the time since the one before) arrives when it was ready, and is counted in `late`.

    `arrived`, `dropped` (replaced by newer ones before anybody took them) and `late` count frames.

    Raises:
        SourceError: in the consumer, after the frames that came before it.
    """

    def __init__(self, source: Source, queue: Queue = "newest") -> None:
        if isinstance(queue, int) and queue < 1:
            raise ValueError(f"a queue of {queue} frames holds nothing: choose newest, all or a number from 1 on")
        self.arrived = self.dropped = self.late = 0
        self._source = source
        self._places = 1 if queue == "newest" else None if queue == "all" else queue
        self._offset_ns: Callable[[int], int] | None = getattr(source, "offset_ns", None)
        self._discards = is_live(source) and self._offset_ns is None
        self._waiting: deque[Captured] = deque()
        self._waiting_bytes = 0
        self._first: Frame | None = None
        self._error: BaseException | None = None
        self._ended = False
        self._changed = Condition()
        self._begun, self._closing = Event(), Event()
        self._thread = Thread(target=self._run, name="capture", daemon=True)

    def first(self) -> Frame | None:
        """A first frame to warm up with, before the iteration begins; None if the source is empty.

        Nothing is lost by it: a schedule begins with the iteration, and the first frame comes again then.  What a
        camera takes in between is thrown away and not counted.
        """
        self._start()
        with self._changed:
            while self._first is None and not self._ended:
                self._changed.wait(WAIT_S)
            if self._first is None and self._error is not None:
                raise self._error
            return self._first

    def __iter__(self) -> Iterator[Captured]:
        return self

    def __next__(self) -> Captured:
        self._begun.set()
        self._start()
        with self._changed:
            while not self._waiting:
                if self._ended or self._closing.is_set():
                    if self._error is not None:
                        raise self._error
                    raise StopIteration
                self._changed.wait(WAIT_S)
            captured = self._waiting.popleft()
            self._waiting_bytes -= captured.frame.image.nbytes
            return captured

    def close(self) -> None:
        """End the thread; returns within a second, even where a driver does not."""
        self._closing.set()
        if self._thread.ident is None:
            return
        self._thread.join(JOIN_S)
        if self._thread.is_alive():
            self._source.close()
            self._thread.join(JOIN_S)

    def _start(self) -> None:
        if self._thread.ident is None and not self._closing.is_set():
            self._thread.start()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            frames = self._source.frames()
            try:
                self._take(frames)
            finally:
                # A device is released in the thread that used it.
                getattr(frames, "close", lambda: None)()
        except BaseException as reason:  # whatever it is, it belongs to the consumer
            error = reason
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify_all()

    def _take(self, frames: Iterator[Frame]) -> None:
        began_ns = 0
        for frame in frames:
            ready_ns = monotonic_ns()
            if not self._begun.is_set():
                self._show_first(frame)
                if self._discards:
                    if self._closing.is_set():
                        return
                    continue
                self._hold()
            if self._offset_ns is not None:
                began_ns = began_ns or monotonic_ns()
                offset_ns = self._offset_ns(self.arrived)
                period_ns = offset_ns - self._offset_ns(max(0, self.arrived - 1))
                ready_ns = self._wait_until_due(began_ns + offset_ns, period_ns, ready_ns)
            if self._closing.is_set():
                return
            self._put(frame, ready_ns)

    def _show_first(self, frame: Frame) -> None:
        with self._changed:
            if self._first is None:
                self._first = frame
                self._changed.notify_all()

    def _hold(self) -> None:
        while not self._begun.wait(WAIT_S) and not self._closing.is_set():
            pass

    def _wait_until_due(self, due_ns: int, period_ns: int, ready_ns: int) -> int:
        """When the frame arrives: as it is due, or as it was ready, `period_ns` after the one before being the plan."""
        if self.arrived and ready_ns - due_ns > LATE_PERIODS * period_ns:
            self.late += 1
            return ready_ns
        self._closing.wait(max(0, due_ns - monotonic_ns()) / NANOSECONDS_PER_S)
        return due_ns

    def _put(self, frame: Frame, arrival_ns: int) -> None:
        with self._changed:
            if self._places is not None and len(self._waiting) == self._places:
                self._waiting_bytes -= self._waiting.popleft().frame.image.nbytes
                self.dropped += 1
            elif self._places is None and self._waiting_bytes + frame.image.nbytes > MAX_WAITING_BYTES:
                raise SourceError(
                    f"{len(self._waiting):,} frames ({self._waiting_bytes // 2**20} MiB) wait for the network, which "
                    "is slower than they come: choose --queue newest, or fewer frames a second"
                )
            self._waiting.append(Captured(frame, arrival_ns, self.arrived))
            self._waiting_bytes += frame.image.nbytes
            self.arrived += 1
            self._changed.notify_all()


class Paced:
    """A source whose frames come at `fps` a second, whatever the consumer does: an open loop, to be run by `Capture`.

    Raises:
        ValueError: `fps` is not a number above 0.
    """

    live = True

    def __init__(self, source: Source, fps: float) -> None:
        if not 0 < fps < float("inf"):
            raise ValueError(f"{fps} frames a second is no rate: choose a number above 0, such as 30")
        self.source, self.fps = source, fps

    @property
    def task(self) -> str | None:
        return self.source.task

    @property
    def length(self) -> int | None:
        return self.source.length

    def frames(self) -> Iterator[Frame]:
        return self.source.frames()

    def offset_ns(self, index: int) -> int:
        """When frame `index` is due, in nanoseconds after the first."""
        return round(index * NANOSECONDS_PER_S / self.fps)

    def remarks(self) -> list[str]:
        remarks: list[str] = getattr(self.source, "remarks", list)()
        return remarks

    def close(self) -> None:
        self.source.close()
