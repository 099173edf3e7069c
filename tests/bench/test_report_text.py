"""The report for people: 80 columns, plain where colour is not wanted, and safe to print."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import runs

from bench.exits.summary import summarise_exits
from bench.report.lines import plain, print_lines
from bench.report.text import render
from bench.summarise import summarise_run
from bench.summary import Estimate, Finding, LatencySummary, NetworkSummary, RunSummary, Verdict


def summary(frames: int = 420) -> RunSummary:
    records = runs.records(runs.facts(baseline=True), frames)
    gates = {"gusodrop": 8, "resnet18": 0}
    return summarise_run(records, "gusodrop", "resnet18", gates, runs.QUIET, seeded=False, complete=True)


def text(of: RunSummary) -> str:
    return "\n".join(plain(line) for line in render(of, runs.facts(baseline=True)))


class Terminal(io.TextIOWrapper):
    """A terminal of an encoding, and what was printed on it."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    def isatty(self) -> bool:
        return True

    @property
    def printed(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def test_no_line_is_longer_than_80_columns() -> None:
    assert max(map(len, text(summary()).splitlines())) <= 80


def test_colour_changes_nothing_but_colour(terminal: Terminal) -> None:
    from rich.text import Text

    lines = render(summary(), runs.facts(baseline=True))
    print_lines(lines, terminal)

    assert "\x1b[" in terminal.printed
    shown = [line.rstrip() for line in Text.from_ansi(terminal.printed).plain.splitlines()]
    assert shown == [plain(line).rstrip() for line in lines]


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_may_refuse_colour(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    print_lines(render(summary(), runs.facts()), terminal)

    assert "\x1b" not in terminal.printed
    assert "█" in terminal.printed


@pytest.mark.parametrize("coloured", [False, True])
def test_a_terminal_without_unicode_gets_ascii(monkeypatch: pytest.MonkeyPatch, coloured: bool) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "" if coloured else "1")
    terminal = Terminal("ascii")

    print_lines(render(summary(), runs.facts()), terminal)

    assert "####" in terminal.printed


def test_what_would_steer_the_terminal_is_taken_out() -> None:
    facts = replace(runs.facts(), source="dir://\x1b]0;owned\x07\n[bold]x[/bold]")

    first, *_ = render(summary(), facts)

    assert plain(first) == "gusodrop on dir://?]0;owned??[bold]x[/bold]"


def test_markup_in_names_is_text_on_a_terminal(terminal: Terminal) -> None:
    print_lines([(("dir://[bold]x[/bold]", ""),)], terminal)

    assert "[bold]x[/bold]" in terminal.printed


def test_head_and_answers_say_what_they_stand_on() -> None:
    of = summary()
    shown = text(replace(of, model=replace(of.model, agreement=estimate(0.971, 0.96, 0.98))))

    assert "baseline resnet18, controller all\n" in shown
    assert f"{len(of.model.paths)} paths, {of.model.route_entropy_bits:.2f} bits over the run  " in shown
    assert "as full network   97.10%  96.00 to 98.00%, 100 frames\n" in shown


def test_the_last_exit_is_that_of_the_network_taken_or_not() -> None:
    records = [record._replace(exit=1) for record in runs.records(runs.facts(), 60)]
    of = summarise_run(records, "gusodrop", None, {}, runs.QUIET, exits={"gusodrop": 3}, seeded=False, complete=True)
    shown = text(of)

    assert "  1               ██████████████ 100.0%  91.2 to 100.0%      40" in shown
    assert "  2 (the last)                     0.0%  0.0 to 8.8%          0       -" in shown


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, low, high, 100)


def exits_summary() -> RunSummary:
    latency = LatencySummary(estimate(0.0123, 0.0119, 0.0131), None, None, None, None, None)
    taken, times_ns = np.array([0, 2] * 3), np.full(6, 12_300)
    by_exit = summarise_exits(taken, times_ns, None, None, 3)
    model = NetworkSummary("sdn", 8, 2, {"inference": latency}, None, None, [], [3, 0, 3], 0, None, None, 1, by_exit)
    finding = Finding("the machine is hot", "95 °C", "cool it")
    return RunSummary(model, None, None, Verdict(False, [finding]), complete=True)


def test_exits_failures_and_cold_frames_are_said() -> None:
    shown = text(exits_summary())

    assert "8 frames, 2 of them failed" in shown
    for name in ("0", "2 (the last)"):
        assert f"  {name:<16}███████         50.0%  18.8 to 81.2%        3   0.012" in shown
    assert "cold frames       1  a segment was compiled inside them" in shown
    assert "  mean            0.012  0.012 to 0.013" in shown
    assert "  ! the machine is hot: 95 °C\n    cool it" in shown


@pytest.mark.parametrize(
    ("reduction", "line"),
    [
        (estimate(0.479, 0.471, 0.486), "reduction         47.9%  47.1 to 48.6%, of the mean"),
        (estimate(-0.013, -0.02, -0.01), "reduction         -1.3%  -2.0 to -1.0%, of the mean"),
        (estimate(0.002, -0.01, 0.02), "reduction         0.2%  -1.0 to 2.0%, of the mean: no difference shown"),
    ],
)
def test_a_reduction_that_may_be_none_is_called_so(reduction: Estimate, line: str) -> None:
    assert line in text(replace(summary(), reduction=reduction)).splitlines()
