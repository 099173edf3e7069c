"""What a reproduction found: figures beside the paper's, distributions, and whether its statements came out."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.statistics.proportion import proportion_estimate
from bench.summary import Estimate

Unit = Literal["share", "exits", "dB", "seconds", "passes"]
Verdict = Literal["holds", "does not hold", "unclear", "not tested"]


@dataclass(frozen=True, slots=True)
class Printed:
    """What the paper prints, as `text`, and the range `low` to `high` that the text admits.

    `is_input` says that a setting was chosen to meet it, so that it agrees by choice and is not judged.
    """

    text: str
    low: float
    high: float
    is_input: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one `setting` (which networks) under one `attack`; `found` is None where there was nothing to take
    it of, `paper` where the paper prints none."""

    measure: str
    setting: str
    attack: str
    unit: Unit
    found: Estimate | None
    paper: Printed | None = None

    @property
    def agrees(self) -> bool | None:
        """Whether the interval meets what the paper prints; None where one is missing, or was chosen to meet it."""
        if self.found is None or self.paper is None or self.paper.is_input:
            return None
        return self.found.low <= self.paper.high and self.paper.low <= self.found.high


@dataclass(frozen=True, slots=True)
class Distribution:
    """How many examples by `values` (exits, or shifts), rising."""

    measure: str
    setting: str
    attack: str
    values: tuple[int, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What one cell of a table gave."""

    figures: tuple[Figure, ...] = ()
    distributions: tuple[Distribution, ...] = ()

    def with_measure(self, measure: str) -> list[Figure]:
        """The figures of this measure that were found."""
        return [each for each in self.figures if each.measure == measure and each.found is not None]


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement of the paper, whether it came out here, and the figures that say so."""

    text: str
    verdict: Verdict
    evidence: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A part of a table that is finished or not: `measure` gives it."""

    name: str
    measure: Callable[[], Findings]


@dataclass(frozen=True, slots=True)
class NotRun:
    """A cell that was left out, and why."""

    cell: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A table again: `study` is its name, `settings` what was decided where the paper leaves it open."""

    study: str
    title: str
    settings: tuple[str, ...]
    findings: Findings
    claims: tuple[Claim, ...]
    not_run: tuple[NotRun, ...]


def joined(parts: Sequence[Findings]) -> Findings:
    """All findings, in their order."""
    return Findings(
        tuple(figure for part in parts for figure in part.figures),
        tuple(distribution for part in parts for distribution in part.distributions),
    )


def for_a_success(each: float, succeeded: NDArray[np.bool_]) -> Estimate | None:
    """What a success costs where every try costs `each`; None without a success.

    The interval is that of the share (n,) that succeeded.
    """
    share = proportion_estimate(succeeded)
    if share is None or share.value == 0:
        return None
    return Estimate(each / share.value, each / share.high, each / share.low, share.n)


def compared(text: str, above: Sequence[Figure], below: Sequence[Figure]) -> Claim:
    """The claim that one kind of figure is larger on average than another.

    The interval of the difference takes the figures as independent.
    """
    first, second = _mean(above), _mean(below)
    if first is None or second is None:
        return Claim(text, "not tested", "one of the two sides is missing")
    margin = ((first[1] ** 2) + (second[1] ** 2)) ** 0.5
    difference = first[0] - second[0]
    verdict: Verdict = "holds" if difference > margin else "does not hold" if difference < -margin else "unclear"
    style = ".1%" if (*above, *below)[0].unit == "share" else ".3g"
    sides = f"{first[0]:{style}} against {second[0]:{style}}"
    return Claim(text, verdict, f"{sides}, difference {difference:+{style}} ± {margin:{style}}")


def bounded(text: str, figures: Sequence[Figure], low: float = 0.0, high: float = 1.0) -> Claim:
    """The claim that every figure lies from `low` to `high`."""
    known = [each.found for each in figures if each.found is not None]
    if not known:
        return Claim(text, "not tested", "no network or no example to test it on")
    inside = sum(each.low >= low and each.high <= high for each in known)
    outside = sum(each.high < low or each.low > high for each in known)
    verdict: Verdict = "does not hold" if outside else "holds" if inside == len(known) else "unclear"
    values = ", ".join(f"{each.value:.1%}" for each in known)
    return Claim(text, verdict, f"{values}: {inside} of {len(known)} surely inside, {outside} surely outside")


def _mean(figures: Sequence[Figure]) -> tuple[float, float] | None:
    """The mean of the values and half the width of its interval."""
    known = [each.found for each in figures if each.found is not None]
    if not known:
        return None
    halves = [(each.high - each.low) / 2 for each in known]
    return sum(each.value for each in known) / len(known), sum(half**2 for half in halves) ** 0.5 / len(known)


def document(reproduction: Reproduction) -> dict[str, Any]:
    """The whole reproduction as JSON; what was not found or not printed is null."""
    found = reproduction.findings
    return {
        "schema": 1,
        **{name: getattr(reproduction, name) for name in ("study", "title", "settings")},
        "figures": [{**asdict(each), "agrees": each.agrees} for each in found.figures],
        "distributions": [asdict(each) for each in found.distributions],
        "claims": [asdict(each) for each in reproduction.claims],
        "not_run": [asdict(each) for each in reproduction.not_run],
    }


_COLUMNS = ("measure", "setting", "attack", "unit", "value", "low", "high", "n")


def figures_table(reproduction: Reproduction) -> str:
    """The figures as CSV, one row each."""
    rows = [
        [
            *(figure.measure, figure.setting, figure.attack, figure.unit),
            *(("", "", "", "") if (found := figure.found) is None else (found.value, found.low, found.high, found.n)),
            *(("", "", "") if (paper := figure.paper) is None else (paper.text, paper.low, paper.high)),
            "" if figure.agrees is None else "yes" if figure.agrees else "no",
        ]
        for figure in reproduction.findings.figures
    ]
    return _csv([*_COLUMNS, "paper", "paper_low", "paper_high", "agrees"], rows)


def distributions_table(reproduction: Reproduction) -> str:
    """The distributions as CSV, one row for every value."""
    rows = [
        [each.measure, each.setting, each.attack, value, count]
        for each in reproduction.findings.distributions
        for value, count in zip(each.values, each.counts, strict=True)
    ]
    return _csv(["measure", "setting", "attack", "value", "count"], rows)


def _csv(head: list[str], rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    return text.getvalue()
