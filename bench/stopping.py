"""How a run is ended from outside without tearing a frame or a row apart."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


# For a run that goes on when the connection to its terminal is lost: `surviving_hang_up` sees to that.
WITHOUT_HANG_UP = ("SIGINT", "SIGTERM")


class Stopping:
    """Inside, Ctrl-C, SIGTERM and SIGHUP (`signals`) ask for the end instead of raising at once.

    The run looks at `requested` between frames.  Only inside `waiting`, where a camera may never answer, does a signal
    raise KeyboardInterrupt by itself; a second signal raises it anywhere.
    """

    def __init__(self, signals: tuple[str, ...] = _SIGNALS) -> None:
        self.requested = False
        self._signals = signals
        self._waiting = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        for name in self._signals:
            number = getattr(signal, name, None)
            # Under nohup the hang-up is ignored, and the run is meant to go on.
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around a call that may block for ever."""
        if self.requested:
            raise KeyboardInterrupt
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._waiting or self.requested:
            self.requested = True
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def surviving_hang_up(sentence: str) -> Iterator[None]:
    """Inside, the loss of the terminal (SIGHUP) ends nothing; the sentence goes to stderr, which may lead to a file."""

    def say(signum: int, frame: FrameType | None) -> None:
        # Not through the stream: the signal may come while that is writing.
        with suppress(OSError):
            os.write(2, f"{sentence}\n".encode(errors="backslashreplace"))

    number = getattr(signal, "SIGHUP", None)
    before = None if number is None else signal.getsignal(number)
    if number is None or before is signal.SIG_IGN:
        yield
        return
    signal.signal(number, say)
    try:
        yield
    finally:
        signal.signal(number, before)
