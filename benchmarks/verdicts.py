"""Whether a figure keeps its limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """A figure, its limit, and whether it holds; `figure` says what it is and how it was formed."""

    figure: str
    value: str
    limit: str
    holds: bool


def at_most(figure: str, value: float, limit: float, form: str, unit: str = "") -> Verdict:
    """The verdict on a figure that may not exceed its limit."""
    return Verdict(figure, f"{value:{form}}{unit}", f"{limit:{form}}{unit}", value <= limit)


def verdict_lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """A table of all of them."""
    yield f"{'':40} {'measured':>18} {'at most':>10}"
    for verdict in verdicts:
        yield f"{verdict.figure:40} {verdict.value:>18} {verdict.limit:>10}  {'holds' if verdict.holds else 'BROKEN'}"
