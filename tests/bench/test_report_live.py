"""The live line: redrawn on a terminal, seldom elsewhere, and never in the way."""

from __future__ import annotations

import io

import pytest

from bench.live_state import LiveState
from bench.report import live
from bench.report.live import LiveLine, clock, live_line, seconds_left


def state(done: int = 100, total: int | None = 400, seconds: float = 10.0) -> LiveState:
    return LiveState(done, total, seconds, 5.314, 5.28, 5.21, 0.968)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    """A terminal behind a connection that was dropped."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, to be set."""
    time = [0.0]
    monkeypatch.setattr(live, "monotonic", lambda: time[0])
    monkeypatch.setenv("TERM", "xterm")
    return time


@pytest.mark.parametrize(
    ("shown", "duration_s", "line"),
    [
        (state(), None, "frame 100/400 | 5.31 ms, p50 5.28 | blocks kept 5.2 | right 96.8% | 30 s left"),
        (state(), 15.0, "frame 100/400 | 5.31 ms, p50 5.28 | blocks kept 5.2 | right 96.8% | 5 s left"),
        (state(total=None), None, "frame 100 | 5.31 ms, p50 5.28 | blocks kept 5.2 | right 96.8%"),
        (LiveState(3, None, 1.0, 5.0, 5.0, None, None, 2), None, "frame 3 | 5.00 ms, p50 5.00 | dropped 2"),
        (LiveState(3, None, 1.0, 5.0, 5.0, None, None), 61.0, "frame 3 | 5.00 ms, p50 5.00 | 1:00 min left"),
    ],
)
def test_the_line(shown: LiveState, duration_s: float | None, line: str) -> None:
    assert live_line(shown, duration_s) == line


def test_the_time_left_is_never_negative() -> None:
    assert seconds_left(state(seconds=20.0), 15.0) == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (3599.4, "59:59 min"), (7512.0, "2:05 h")]
)
def test_the_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_terminal_is_redrawn_and_cleared(now: list[float]) -> None:
    terminal = Terminal()
    line = LiveLine(terminal)
    for now[0] in (0.1, 0.3, 0.31, 0.6):
        line.show(state())
    line.close()

    assert terminal.getvalue() == f"\r{live_line(state())}\x1b[K" * 2 + "\r\x1b[K"


def test_a_log_gets_a_line_every_ten_seconds(now: list[float]) -> None:
    log = io.StringIO()
    line = LiveLine(log)
    for second in range(25):
        now[0] = float(second)
        line.show(state())
    line.close()

    assert log.getvalue() == f"{live_line(state())}\n" * 2


def test_a_dumb_terminal_is_a_log(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    LiveLine(terminal).close()

    assert terminal.getvalue() == ""


def test_a_terminal_that_is_gone_does_not_end_the_run(now: list[float]) -> None:
    line = LiveLine(Gone())
    for now[0] in (11.0, 22.0):
        line.show(state())
    line.close()
