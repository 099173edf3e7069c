"""The tables of a results page, from the numbers that a measurement wrote.

    python -m benchmarks.gating.page docs/results/gating/quiet.json docs/results/gating.md

Replaces what stands between the two markers of the page; without a page the tables are printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.gating.document import Document, read_document
from benchmarks.gating.limits import median_ratio, worst
from benchmarks.gating.section import Section, of_plan
from benchmarks.gating.verdict import judge

BEGIN, END = "<!-- measured: python -m benchmarks.gating.page -->", "<!-- end of measured -->"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gating.page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("numbers", type=Path, metavar="FILE.json")
    parser.add_argument("page", type=Path, nargs="?", metavar="PAGE.md")
    arguments = parser.parse_args()
    tables = "\n".join(page_lines(read_document(arguments.numbers.read_text())))
    if arguments.page is None:
        print(tables)
        return
    try:
        arguments.page.write_text(placed(arguments.page.read_text(), tables))
    except ValueError as error:
        sys.exit(f"{arguments.page}: {error}")


def placed(page: str, tables: str) -> str:
    """The page with the tables between its markers, in place of what was there.

    Raises:
        ValueError: the page has no such place.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the tables go between two lines, {BEGIN} and {END}: write them into the page")
    return f"{before}{begin}\n\n{tables}\n\n{end}{after}"


def page_lines(document: Document) -> Iterator[str]:
    """Markdown: the machine, its load and the command, then every table that has rows."""
    yield ",\n".join(document.machine) + "."
    yield ""
    yield f"    {' '.join(('python -m benchmarks.gating', *document.command))}"
    sections = document.sections
    for title, columns, rows in (
        ("", ("figure", "at most", *map(_name, sections)), _verdicts(sections)),
        ("Latency over that of the static graph.", _PLAN_COLUMNS, _plans(sections)),
        ("Whole frames.", _FRAME_COLUMNS, _frames(sections)),
        ("Opening, routes and memory.", _BUILDING_COLUMNS, _building(sections)),
        ("One network beside another, over each alone.", _NEIGHBOUR_COLUMNS, _neighbours(sections)),
    ):
        body = list(rows)
        if body:
            yield from ("", title, "") if title else ("",)
            yield from (_row(columns), "|---" * len(columns) + "|", *map(_row, body))
    yield ""
    for section in sections:
        after = "?" if section.load_after is None else f"{section.load_after:.1f}"
        load = f"load {section.load_before:.1f} before, {after} after"
        yield f"- {_name(section)}: bundle `{section.digest[:8]}`, {load}."
        yield from (f"  - {note}" for note in section.notes)


_PLAN_COLUMNS = ("network", "plan", "routes", "median", "lowest", "nearest to its limit, or furthest beyond")
_FRAME_COLUMNS = ("network", "routes kept", "frames", "cold", "static, mean", "ratio of means", "ratio of p99")
_BUILDING_COLUMNS = ("network", "opened", "in", "all routes compiled in", "memory", "static network's memory")
_NEIGHBOUR_COLUMNS = ("network", "which", "alone", "ratio")


def _verdicts(sections: Sequence[Section]) -> Iterator[Iterable[str]]:
    """A row for every figure that is judged, with a cell for every section."""
    judged = [{_figure(each.figure): each for each in judge(section)} for section in sections]
    for figure in dict.fromkeys(figure for verdicts in judged for figure in verdicts):
        found = [verdicts.get(figure) for verdicts in judged]
        limits = dict.fromkeys(verdict.limit for verdict in found if verdict)
        cells = ["-" if each is None else each.value + ("" if each.holds else " **missed**") for each in found]
        yield figure, " / ".join(limits), *cells


def _figure(figure: str) -> str:
    """A figure without the route that stands in it, which differs from section to section."""
    return figure.partition(" (")[0]


def _plans(sections: Sequence[Section]) -> Iterator[Iterable[str]]:
    for section in sections:
        everything = (*section.taxes, *section.int8, *section.decisions)
        for plan in dict.fromkeys(measured.plan for measured in everything):
            taxes = of_plan(everything, plan)
            (last,) = worst(taxes, 1)
            lowest = min(measured.tax.ratio for measured in taxes)
            where = f"{last.tax.ratio:.3f} (`{last.route}`, {last.tax.static_us / 1e3:.2f} ms)"
            yield _name(section), plan, str(len(taxes)), f"{median_ratio(taxes):.3f}", f"{lowest:.3f}", where
        if section.again:
            again = of_plan(section.again, "fused")
            ratios = " ".join(f"{measured.tax.ratio:.3f}" for measured in again)
            yield _name(section), "fused, worst again", str(len(again)), f"{median_ratio(again):.3f}", "", ratios


def _frames(sections: Sequence[Section]) -> Iterator[Iterable[str]]:
    for section in sections:
        for row in section.frames:
            yield (
                *(_name(section), str(row.segments_kept), str(row.frames), str(row.cold)),
                f"{row.static_mean_ms:.2f} ms",
                _with_interval(row.mean_ratio, row.low, row.high),
                f"{row.p99_ratio:.3f}",
            )


def _building(sections: Sequence[Section]) -> Iterator[Iterable[str]]:
    for section in sections:
        static = "-" if section.static_memory_mib is None else f"{section.static_memory_mib:.1f} MiB"
        for built in section.built:
            opened = f"{built.open_s * 1e3:.0f} ms"
            yield _name(section), built.cache, opened, f"{built.compile_s:.2f} s", f"{built.memory_mib:.1f} MiB", static


def _neighbours(sections: Sequence[Section]) -> Iterator[Iterable[str]]:
    for section in sections:
        for row in section.neighbours:
            yield _name(section), row.network, f"{row.alone_ms:.2f} ms", _with_interval(row.ratio, row.low, row.high)


def _name(section: Section) -> str:
    return f"{section.network}, {section.input_shape[-1]} px, {section.threads} thread{'s' * (section.threads > 1)}"


def _with_interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
