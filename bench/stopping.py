"""How a run is ended from outside without tearing a frame or a row apart."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Stopping:
    """Inside, Ctrl-C, SIGTERM and SIGHUP ask for the end instead of raising at once.

    The run looks at `requested` between frames.  Only inside `waiting`, where a camera may never answer, does a signal
    raise KeyboardInterrupt by itself; a second signal raises it anywhere.
    """

    def __init__(self) -> None:
        self.requested = False
        self._waiting = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        for name in _SIGNALS:
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
