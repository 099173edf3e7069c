from __future__ import annotations

import io
from dataclasses import dataclass, field

import pytest

from bench.cli.progress import Lines, describe, progress


@dataclass(frozen=True)
class Step:
    phase: str
    step: int
    steps: int
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (Step("32px", 100, 700, 60.0, {"loss": 0.4119}), "32px 100/700  loss 0.412  6 min left"),
        (Step("32px", 600, 700, 60.0), "32px 600/700  10 s left"),
        (Step("32px", 0, 700, 0.0), "32px 0/700"),
        (Step("32px", 700, 700, 60.0), "32px 700/700"),
    ],
)
def test_a_line_says_how_far_how_well_and_how_long(step, line):
    assert describe(step) == line


def test_lines_come_at_both_ends_of_a_phase_and_every_ten_seconds_between():
    now, stream = [0.0], io.StringIO()
    lines = Lines(stream, every_s=10.0, clock=lambda: now[0])
    for index in range(1, 101):
        now[0] += 0.5
        lines(Step("32px", index, 100, now[0]))
    lines(Step("measuring", 1, 2, 1.0))
    shown = [line.split()[:2] for line in stream.getvalue().splitlines()]
    assert shown == [["32px", f"{step}/100"] for step in (1, 21, 41, 61, 81, 100)] + [["measuring", "1/2"]]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_with_the_metrics(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    with progress(terminal) as show:
        show(Step("32px", 40, 80, 10.0, {"loss": 0.5}))
        show(Step("32px", 80, 80, 20.0, {"loss": 0.25}))
    assert "loss 0.250" in terminal.getvalue()
    assert "\x1b[" in terminal.getvalue()


def test_what_is_printed_beside_a_bar_stays_on_stdout(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with progress(terminal) as show:
        show(Step("32px", 40, 80, 10.0))
        print('{"schema": 1}')
    assert capsys.readouterr().out == '{"schema": 1}\n'
    assert "schema" not in terminal.getvalue()


def test_elsewhere_there_are_no_escapes():
    stream = io.StringIO()
    with progress(stream) as show:
        show(Step("32px", 40, 80, 10.0, {"loss": 0.5}))
    assert stream.getvalue() == "32px 40/80  loss 0.500  10 s left\n"


def test_a_terminal_that_is_gone_ends_nothing():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    Lines(Gone())(Step("32px", 1, 1, 1.0))
