"""Figures and what stands beside them, as the pages of reports show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.report.lines import Line
from bench.summary import Estimate, LatencySummary

LABEL_WIDTH = 18
FIGURES = ("mean", "p50", "p90", "p95", "p99", "max")

# A figure and what stands beside it: its interval, or why there is none.
Cell = tuple[str, str]


def cell(estimate: Estimate | None, text: Callable[[float], str]) -> Cell:
    if estimate is None:
        return "-", "too few frames"
    return text(estimate.value), interval(estimate, text)


def interval(estimate: Estimate, text: Callable[[float], str]) -> str:
    low, high = text(estimate.low), text(estimate.high)
    return "" if low == high == text(estimate.value) else f"{low.removesuffix('%')} to {high}"


def percent(share: float) -> str:
    return f"{share:.2%}"


def labelled(label: str, value: str, beside: str = "") -> list[Line]:
    spans = [(label.ljust(LABEL_WIDTH), "title"), (value, "")]
    return [tuple([*spans, (f"  {beside}", "dim")] if beside else spans)]


def milliseconds(latency: LatencySummary) -> list[Cell]:
    """The cells of `FIGURES`."""
    estimates: list[Estimate | None] = [getattr(latency, figure) for figure in FIGURES]
    places = decimals(next((estimate.value for estimate in estimates if estimate is not None), 0.0))
    return [cell(estimate, lambda value: f"{value:.{places}f}") for estimate in estimates]


def decimals(value: float) -> int:
    """Three digits that count, and no more than microseconds."""
    return 3 if value < 10 else 2 if value < 100 else 1


def table(title: str, rows: Sequence[str], columns: Sequence[tuple[str, list[Cell]]]) -> list[Line]:
    """Figures right-aligned, each with its interval behind it; the columns' names above the figures."""
    value_widths = [max(len(value) for value, _ in cells) for _, cells in columns]
    beside_widths = [
        max(len(name) - width - 2, *(len(beside) for _, beside in cells))
        for (name, cells), width in zip(columns, value_widths, strict=True)
    ]
    header = "   ".join(
        name.ljust(width + 2 + beside)
        for (name, _), width, beside in zip(columns, value_widths, beside_widths, strict=True)
    )
    lines: list[Line] = [((title.ljust(LABEL_WIDTH), "title"), (header.rstrip(), "title"))]
    for index, row in enumerate(rows):
        spans = [(f"  {row}".ljust(LABEL_WIDTH), "")]
        for (_, cells), width, beside_width in zip(columns, value_widths, beside_widths, strict=True):
            value, beside = cells[index]
            spans += [(value.rjust(width), ""), (f"  {beside.ljust(beside_width)}   ", "dim")]
        lines.append(_stripped(spans))
    return lines


def _stripped(spans: Sequence[tuple[str, str]]) -> Line:
    *before, (text, style) = spans
    return (*before, (text.rstrip(), style))
