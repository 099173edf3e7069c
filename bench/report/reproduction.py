"""A paper's table again as text: 80 columns, each figure beside the paper's."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from bench.report.lines import Line
from bench.reproduce.findings import Claim, Distribution, Figure, NotRun, Reproduction, Unit, Verdict
from bench.summary import Estimate

_WIDTH = 80
_SETTING = 36
_VERDICTS: dict[Verdict, str] = {"holds": "good", "does not hold": "bad", "unclear": "dim", "not tested": "dim"}
# A bar as long as this is all examples.
_BAR = 24


def render_reproduction(reproduction: Reproduction) -> list[Line]:
    """The lines of the page."""
    figures = reproduction.findings.figures
    blocks = [_head(reproduction)]
    measures = dict.fromkeys(each.measure for each in figures)
    blocks += [_table(measure, [each for each in figures if each.measure == measure]) for measure in measures]
    blocks += [_drawn(each) for each in reproduction.findings.distributions]
    blocks += [_claims(reproduction.claims), _not_run(reproduction.not_run)]
    return [line for block in blocks if block for line in (*block, ())][:-1]


def _head(reproduction: Reproduction) -> list[Line]:
    lines: list[Line] = [((reproduction.study, "title"), (f"  {reproduction.title}", ""))]
    return lines + [line for text in reproduction.settings for line in _wrapped(text, "  ", "dim")]


def _table(measure: str, figures: Sequence[Figure]) -> list[Line]:
    paper = any(each.paper is not None for each in figures)
    head = f"{measure:<{_SETTING + 8}}{'found':>9}{'':<16}{'paper' if paper else ''}".rstrip()
    lines: list[Line] = [((head, "title"),)]
    for each in figures:
        name = f"  {each.setting}"
        if len(name) > _SETTING:
            lines.append(((name, ""),))
            name = ""
        agrees = {True: ("", "good"), False: (" differs", "bad"), None: ("", "")}[each.agrees]
        lines.append(
            (
                (f"{name:<{_SETTING}}{each.attack:<8.8}", ""),
                (_value(each.found, each.unit), ""),
                (f"{_interval(each.found, each.unit):<16}", "dim"),
                ("" if each.paper is None else each.paper.text, agrees[1]),
                agrees,
            )
        )
    return lines


def _value(found: Estimate | None, unit: Unit) -> str:
    if found is None:
        return f"{'-':>9}"
    return f"{found.value:>9.1%}" if unit == "share" else f"{found.value:>9.3g}"


def _interval(found: Estimate | None, unit: Unit) -> str:
    if found is None or found.low == found.high:
        return ""
    if unit == "share":
        return f"  {100 * found.low:.1f} to {100 * found.high:.1f}"
    return f"  {found.low:.3g} to {found.high:.3g}"


def _drawn(distribution: Distribution) -> list[Line]:
    total = sum(distribution.counts)
    head = f"{distribution.measure}  {distribution.setting}, {distribution.attack}, {total:,} examples"
    lines: list[Line] = [((head, "title"),)]
    for value, count in zip(distribution.values, distribution.counts, strict=True):
        bar = "█" * round(_BAR * count / total)
        lines.append(((f"  {value:>4}  ", ""), (f"{bar:<{_BAR}}", "bar"), (f"{count / total:>8.1%}{count:>8,}", "")))
    return lines


def _claims(claims: Sequence[Claim]) -> list[Line]:
    lines: list[Line] = [(("statements of the paper", "title"),)] if claims else []
    for claim in claims:
        first, *rest = textwrap.wrap(claim.text, _WIDTH - 17)
        lines.append(((f"  {claim.verdict:<15}", _VERDICTS[claim.verdict]), (first, "")))
        lines += [((f"{'':<17}{part}", ""),) for part in rest]
        lines += _wrapped(claim.evidence, " " * 17, "dim")
    return lines


def _not_run(left_out: Sequence[NotRun]) -> list[Line]:
    lines: list[Line] = [((f"not run: {len(left_out)} of the table's parts", "bad"),)] if left_out else []
    for reason in dict.fromkeys(each.reason for each in left_out):
        lines += _wrapped(reason, "  ", "")
        lines += _wrapped("; ".join(each.cell for each in left_out if each.reason == reason), "    ", "dim")
    return lines


def _wrapped(text: str, indent: str, style: str) -> list[Line]:
    parts = textwrap.wrap(text, _WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
    return [((f"{indent}{part}", style),) for part in parts]
