"""Accuracy under attack, and the check list, as text: 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from bench.report.lines import Line
from bench.robustness.checklist.base import Checked, Verdict
from bench.robustness.evaluation import CheckedModel, Evaluation
from bench.robustness.grid import CLEAN, Cell
from bench.summary import Estimate

_WIDTH = 80
_MARKS: dict[Verdict, tuple[str, str]] = {
    "pass": ("pass", "good"),
    "fail": ("FAIL", "bad"),
    "unclear": ("unclear", "bad"),
    "not applicable": ("-", "dim"),
    "not run": ("not run", "dim"),
}


def render_robustness(evaluation: Evaluation) -> list[Line]:
    """The lines of the page: a table for every model and method, then the check lists."""
    blocks = [_head(evaluation)]
    models = dict.fromkeys(cell.model for cell in evaluation.cells)
    for model in models:
        own = [cell for cell in evaluation.cells if cell.model == model]
        clean = [cell for cell in own if cell.method == CLEAN]
        for method in dict.fromkeys(cell.method for cell in own if cell.method != CLEAN) or [CLEAN]:
            rows = [cell for cell in own if cell.method == method]
            blocks.append(_table(model, method, clean + [row for row in rows if row not in clean]))
    blocks += [_checks(model) for model in evaluation.checks]
    return [line for block in blocks if block for line in (*block, ())][:-1]


def _head(evaluation: Evaluation) -> list[Line]:
    lines: list[Line] = [
        (("accuracy under attack", "title"), (f" on {evaluation.source}", "")),
        ((f"{evaluation.images:,} images, crafted once, then scored on {evaluation.draws} fresh draws each", "dim"),),
    ]
    deciding = {cell.model: cell.controller for cell in evaluation.cells if cell.controller}
    if deciding:
        said = ", ".join(f"{model} with {controller}" for model, controller in deciding.items())
        lines += [((part, "dim"),) for part in textwrap.wrap(f"as deployed: {said}", _WIDTH)]
    missing = evaluation.cells_planned - len(evaluation.cells)
    if missing:
        lines.append(
            ((f"{missing} of {evaluation.cells_planned} cells are missing: run again to go on with them", "bad"),)
        )
    return lines


def _table(model: str, method: str, rows: Sequence[Cell]) -> list[Line]:
    severe = rows[-1].severity > 0
    unit, what = ("severe", "") if severe else ("/ 255", "eps")
    head = f"{what:>6}{'mean':>8}{'':<16}{'worst':>8}{'majority':>10}{'mean':>10}{'worst':>8}{'majority':>10}"
    lines: list[Line] = [
        ((model, "title"), (f" under {method}", "")),
        ((f"{unit:>6}{'as floats':>12}{'as 8-bit frames':>51}", "dim"),),
        ((head, "title"),),
    ]
    for row in rows:
        floats, frames = row.floats, row.frames
        lines.append(
            (
                (f"{row.severity if severe else float(row.levels):>6g}{floats.mean.value:>8.1%}", ""),
                (f"{_interval(floats.mean):<16}", "dim"),
                (f"{floats.worst.value:>8.1%}{floats.majority.value:>10.1%}", ""),
                (f"{frames.mean.value:>10.1%}{frames.worst.value:>8.1%}{frames.majority.value:>10.1%}", ""),
            )
        )
        if row.zero_gradients or row.non_finite_gradients:
            silent = f"zero gradients in {row.zero_gradients:.1%} of the images"
            broken = f"some not finite in {row.non_finite_gradients:.1%}"
            lines.append(((f"{'':>8}{silent}, {broken}", "bad"),))
    return lines


def _checks(model: CheckedModel) -> list[Line]:
    verdicts = [checked.outcome.verdict for checked in model.items]
    count = ", ".join(f"{verdicts.count(each)} {each}" for each in _MARKS if each in verdicts)
    lines: list[Line] = [
        ((f"check list of {model.model}", "title"), (f"  {count}", "")),
        ((f"{model.images} images at {float(model.levels):g} of 255", "dim"),),
    ]
    for checked in model.items:
        lines += _check(checked)
    return lines


def _check(checked: Checked) -> list[Line]:
    item, outcome = checked.item, checked.outcome
    mark, style = _MARKS[outcome.verdict]
    lines: list[Line] = [((f"  {mark:<8}", style), (f"{item.number:>2}  {item.title}", ""))]
    texts = [outcome.figure]
    if outcome.verdict in ("fail", "unclear"):
        texts.append(f"a pass takes: {item.threshold} ({item.source})")
    for text in texts:
        lines += [((f"{'':>14}{part}", "dim"),) for part in textwrap.wrap(text, _WIDTH - 14)]
    return lines


def _interval(estimate: Estimate) -> str:
    return f"  {100 * estimate.low:.1f} to {100 * estimate.high:.1f}"
