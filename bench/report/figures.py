"""Figures and what stands beside them, as the pages of reports show them."""

from __future__ import annotations

from collections.abc import Callable

from bench.report.lines import Line
from bench.summary import Estimate

LABEL_WIDTH = 18

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
