"""A run as text for people: 80 columns, read over SSH, from the figure asked for to the reasons to doubt it."""

from __future__ import annotations

import textwrap

from bench.report.board import energy, heat, real_time
from bench.report.exits import render_exits
from bench.report.facts import RunFacts
from bench.report.figures import FIGURES, LABEL_WIDTH, cell, decimals, labelled, milliseconds, percent, table
from bench.report.lines import Line, plain
from bench.report.twins import render_twins
from bench.summary import Estimate, NetworkSummary, PathSummary, RunSummary, Verdict

_BAR = 20
_WIDTH = 80
_ROUTES_SHOWN = 8

# Two scopes with their intervals fill the width.
_SCOPES_A_TABLE = 2


def render(summary: RunSummary, facts: RunFacts) -> list[Line]:
    """The lines of the report; `bench.report.lines` prints them."""
    model = summary.model
    blocks = [_head(summary, facts)]
    blocks += _figures(model) if summary.twins is None else render_twins(summary.twins, facts)
    blocks += [real_time(summary, facts), energy(summary.energy), heat(summary.heat)]
    if summary.baseline is not None:
        blocks.append(_comparison(model, summary.baseline, summary.reduction))
    blocks += [_verdict(summary.verdict), labelled("records", facts.folder)]
    return [line for block in blocks if block for line in (*block, ())][:-1]


def _head(summary: RunSummary, facts: RunFacts) -> list[Line]:
    model = summary.model
    frames = f"{model.frames:,} frames"
    frames += f", {model.failed:,} of them failed" if model.failed else ""
    backend = " ".join(filter(None, (facts.backend, facts.backend_details.get("version"))))
    threads = "1 thread" if facts.threads == 1 else f"{facts.threads} threads"
    lines: list[Line] = [((facts.model.name, "title"), (f" on {facts.source}", ""))]
    how = [f"{frames}, controller {facts.controller}, {backend}, {threads}"]
    if facts.baseline is not None and facts.baseline.controller is not None:
        how.append(f"baseline {facts.baseline.name}, controller {facts.baseline.controller}")
    lines += [((text, "dim"),) for part in how for text in _wrapped("", part)]
    if not summary.complete:
        lines.append((("incomplete: the run ended early, these are the frames before that", "bad"),))
    if not model.frames:
        lines.append((("no frame was measured", "bad"),))
    return lines


def _figures(model: NetworkSummary) -> list[list[Line]]:
    blocks = _latency_tables(model) if model.frames > model.failed else []
    if len(model.paths) > 1:
        blocks.append(_routes(model))
    if model.by_exit is not None:
        blocks.append(render_exits(model.by_exit))
    return [*blocks, _answers(model)]


def _latency_tables(model: NetworkSummary) -> list[list[Line]]:
    columns = [(str(scope), milliseconds(latency)) for scope, latency in model.latency_ms.items()]
    return [
        table("latency in ms", FIGURES, columns[start : start + _SCOPES_A_TABLE])
        for start in range(0, len(columns), _SCOPES_A_TABLE)
    ]


def _routes(model: NetworkSummary) -> list[Line]:
    entropy = "" if model.route_entropy_bits is None else f", {model.route_entropy_bits:.2f} bits over the run"
    several_exits = len(model.exits) > 1
    names = [_path_name(path, several_exits) for path in model.paths[:_ROUTES_SHOWN]]
    width = max(LABEL_WIDTH - 4, *map(len, names))
    places = decimals(min(path.latency_ms for path in model.paths))
    header = f"{len(model.paths):,} paths{entropy}"
    lines: list[Line] = [((f"{header.ljust(width + _BAR + 4)}{'share':>8}{'frames':>9}{'p50 ms':>10}", "title"),)]
    largest = max(path.share for path in model.paths)
    for name, path in zip(names, model.paths, strict=False):
        bar = "█" * max(1, round(_BAR * path.share / largest))
        numbers = f"{path.share:>8.1%}{path.count:>9,}{path.latency_ms:>10.{places}f}"
        lines.append((("  " + name.ljust(width + 2), ""), (bar.ljust(_BAR), "bar"), (numbers, "")))
    rest = model.paths[_ROUTES_SHOWN:]
    if rest:
        share, count = sum(path.share for path in rest), sum(path.count for path in rest)
        more = f"  and {len(rest):,} more".ljust(width + _BAR + 4)
        lines.append(((f"{more}{share:>8.1%}{count:>9,}", "dim"),))
    return lines


def _path_name(path: PathSummary, several_exits: bool) -> str:
    exit_ = f"exit {path.exit}" if several_exits else ""
    return " ".join(filter(None, (path.route, exit_)))


def _answers(model: NetworkSummary) -> list[Line]:
    lines: list[Line] = []
    if model.kept_blocks is not None:
        value, interval = cell(model.kept_blocks, lambda kept: f"{kept:.2f}")
        lines += labelled("blocks kept", f"{value} of {model.gates}", interval)
    if model.accuracy is not None:
        value, interval = cell(model.accuracy, percent)
        lines += labelled("right answers", value, f"{interval}, {model.accuracy.n:,} labelled frames".lstrip(", "))
    if model.agreement is not None:
        value, interval = cell(model.agreement, percent)
        lines += labelled("as full network", value, f"{interval}, {model.agreement.n:,} frames".lstrip(", "))
    if model.cold_frames:
        lines += labelled("cold frames", f"{model.cold_frames:,}", "a segment was compiled inside them")
    return lines


def _comparison(model: NetworkSummary, baseline: NetworkSummary, reduction: Estimate | None) -> list[Line]:
    networks, rows = (model, baseline), [*FIGURES]
    columns = []
    for network in networks:
        latency = network.latency_ms.get("inference")
        cells = [("-", "")] * len(FIGURES) if latency is None else milliseconds(latency)
        columns.append((network.network, cells))
    if any(network.accuracy is not None for network in networks):
        rows.append("right answers")
        for (_, cells), network in zip(columns, networks, strict=True):
            cells.append(cell(network.accuracy, percent))
    lines = table("inference in ms", rows, columns)
    if reduction is not None:
        value, interval = cell(reduction, lambda share: f"{share:.1%}")
        shown = "of the mean" if reduction.low > 0 or reduction.high < 0 else "of the mean: no difference shown"
        lines += labelled("reduction", value, f"{interval}, {shown}".lstrip(", "))
    return lines


def _verdict(verdict: Verdict) -> list[Line]:
    lines: list[Line] = [
        (
            ("verdict".ljust(LABEL_WIDTH), "title"),
            ("trusted", "good") if verdict.trusted else ("not to be trusted", "bad"),
        )
    ]
    for finding in verdict.findings:
        mark, style = ("  ! ", "bad") if finding.severity == "warning" else ("  - ", "")
        lines += [((text, style),) for text in _wrapped(mark, f"{finding.what}: {finding.evidence}")]
        lines += [((text, "dim"),) for text in _wrapped("    ", finding.advice)]
    return lines


def _wrapped(lead: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead), break_on_hyphens=False)


def render_text(summary: RunSummary, facts: RunFacts) -> str:
    """The report as plain text."""
    return "\n".join(plain(line) for line in render(summary, facts))
