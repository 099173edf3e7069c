"""An open camera or stream, and the watch over it: it stalls, vanishes, comes back, changes size, delivers garbage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event
from time import monotonic
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from devices.sources.base import SourceError

# So many events are told; a loose contact would bury the rest of the report.
NAMED = 10
# Between two attempts to open a device that is gone.
PAUSE_S = 0.2


class Shot(NamedTuple):
    """A picture, (height, width, 3) uint8 RGB, and when the driver says that it was taken (CLOCK_MONOTONIC)."""

    image: NDArray[np.uint8]
    captured_ns: int | None = None


class LostError(Exception):
    """A device gives no more pictures; the message is what it did, "was unplugged"."""


class Device(Protocol):
    """An open camera or stream."""

    def read(self) -> Shot | Literal["nothing", "garbage"]:
        """The next picture; "nothing" yet, after a moment of waiting; or "garbage", which cannot be decoded.

        Raises:
            LostError: nothing will come any more.
            EOFError: the stream has come to the end that it was meant to have.
        """

    def close(self) -> None:
        """Release the device; never waits long."""


@dataclass
class Watch:
    """Reads a device, opens it again when it is lost, and remembers what happened.

    A device that is lost, or gives no picture for `timeout` seconds, is opened again for `retry` seconds.  Nothing is
    retried before the first picture: that an address is wrong should be told at once.

    `title` names the device in messages, `advice` says what to do when it is gone, `opened` opens it or raises
    SourceError; `now` is a clock in seconds; `asked` is the width and height that the device was asked for.
    """

    title: str
    advice: str
    opened: Callable[[], Device]
    timeout: float
    retry: float
    closing: Event = field(default_factory=Event)
    now: Callable[[], float] = monotonic
    asked: tuple[int, int] | None = None
    given: int = field(default=0, init=False)
    garbage: int = field(default=0, init=False)
    _events: list[str] = field(default_factory=list, init=False)
    _untold: int = field(default=0, init=False)

    def shots(self) -> Iterator[Shot]:
        """The pictures, until the stream ends or `closing` is set.

        Raises:
            SourceError: the device cannot be opened, or was lost and did not come back.
        """
        device = self.opened()
        waiting_since = last_s = self.now()
        outage: _Outage | None = None
        shape: tuple[int, ...] | None = None
        try:
            while not self.closing.is_set():
                try:
                    shot = self._read(device, waiting_since)
                except EOFError:
                    return
                except LostError as reason:
                    device.close()
                    outage = outage or _Outage(str(reason), last_s, self.now() + self.retry)
                    device = self._opened_again(outage)
                    waiting_since = self.now()
                    continue
                if shot is None:
                    continue
                if outage is not None:
                    self._tell(f"{outage.reason} at frame {self.given}, and was back after {self.now() - last_s:.1f} s")
                    outage = None
                if self.given == 0 and self.asked not in (None, shot.image.shape[1::-1]):
                    self._tell(f"gives {_size(shot.image.shape)} pixels instead of {self.asked[0]}x{self.asked[1]}")
                if shape is not None and shot.image.shape != shape:
                    self._tell(f"changed from {_size(shape)} to {_size(shot.image.shape)} pixels at frame {self.given}")
                shape = shot.image.shape
                yield shot
                self.given += 1
                # A consumer that takes its time is no stall of the device.
                waiting_since = last_s = self.now()
        finally:
            device.close()

    def remarks(self) -> list[str]:
        """What happened, one sentence each."""
        remarks = [f"{self.title} {event}" for event in self._events]
        if self._untold:
            remarks.append(f"{self.title}: {self._untold} more such events")
        if self.garbage:
            remarks.append(
                f"{self.title}: {self.garbage} frame{'s' * (self.garbage != 1)} that no decoder reads, left out"
            )
        return remarks

    def _read(self, device: Device, waiting_since: float) -> Shot | None:
        shot = device.read()
        if isinstance(shot, Shot):
            return shot
        self.garbage += shot == "garbage"
        if self.now() - waiting_since >= self.timeout:
            raise LostError(f"gave no picture for {self.timeout:g} s")
        return None

    def _opened_again(self, outage: _Outage) -> Device:
        while self.given and self.now() < outage.until_s and not self.closing.is_set():
            try:
                return self.opened()
            except SourceError:  # noqa: PERF203 (it waits anyway)
                self.closing.wait(PAUSE_S)
        if not self.given:
            raise SourceError(f"{self.title} {outage.reason} and no picture came: {self.advice}")
        raise SourceError(
            f"{self.title} {outage.reason} after {self.given:,} frame{'s' * (self.given != 1)} and did not come back "
            f"within {self.retry:g} s: {self.advice}, or wait longer with retry=60"
        )

    def _tell(self, event: str) -> None:
        if len(self._events) < NAMED:
            self._events.append(event)
        else:
            self._untold += 1


class _Outage(NamedTuple):
    """Why and since when a device gives nothing, and until when it is opened again."""

    reason: str
    since_s: float
    until_s: float


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
