"""The line that says how a run is going."""

from __future__ import annotations

import os
from time import monotonic
from typing import TextIO

from bench.live_state import LiveState

# A terminal is redrawn often enough to look alive; a log file gets a line now and then.
_TERMINAL_PERIOD_S = 0.25
_LOG_PERIOD_S = 10.0


def live_line(state: LiveState, duration_s: float | None = None) -> str:
    """One line, for example `frame 840/2000 | 5.31 ms, p50 5.28 | blocks kept 5.2 | right 96.8 % | 14 s left`."""
    total = "" if state.frames_total is None else f"/{state.frames_total}"
    parts = [f"frame {state.frames_done}{total}", f"{state.last_ms:.2f} ms, p50 {state.recent_p50_ms:.2f}"]
    if state.dropped is not None:
        parts.append(f"dropped {state.dropped}")
    if state.kept_blocks is not None:
        parts.append(f"blocks kept {state.kept_blocks:.1f}")
    if state.accuracy_so_far is not None:
        parts.append(f"right {state.accuracy_so_far:.1%}")
    left_s = seconds_left(state, duration_s)
    if left_s is not None:
        parts.append(f"{clock(left_s)} left")
    return " | ".join(parts)


def seconds_left(state: LiveState, duration_s: float | None) -> float | None:
    """The earlier of the two ends of a run, frames and time, or None where neither can be told yet."""
    ends = []
    if state.frames_total is not None and state.frames_done:
        ends.append((state.frames_total - state.frames_done) * state.seconds / state.frames_done)
    if duration_s is not None:
        ends.append(duration_s - state.seconds)
    return max(0.0, min(ends)) if ends else None


def clock(seconds: float) -> str:
    """`48 s`, `3:07 min`, `2:05 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60}:{whole % 60:02} min" if whole < 3600 else f"{whole // 3600}:{whole // 60 % 60:02} h"


class LiveLine:
    """Shows the states of a run on a stream: one line redrawn on a terminal, a line every 10 s elsewhere.

    Drawn by hand, since a library that redraws from a thread of its own would take time from what is being measured.
    A stream that can no longer be written to is left alone: the run goes on.
    """

    def __init__(self, stream: TextIO, duration_s: float | None = None) -> None:
        self._stream: TextIO | None = stream
        self._duration_s = duration_s
        self._redrawn = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._period_s = _TERMINAL_PERIOD_S if self._redrawn else _LOG_PERIOD_S
        self._due_s = monotonic() + self._period_s

    def show(self, state: LiveState) -> None:
        """Draw the state if it is time to."""
        now_s = monotonic()
        if now_s >= self._due_s:
            self._due_s = now_s + self._period_s
            line = live_line(state, self._duration_s)
            self._write(f"\r{line}\x1b[K" if self._redrawn else f"{line}\n")

    def close(self) -> None:
        """Clear the line, for what follows."""
        if self._redrawn:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None
