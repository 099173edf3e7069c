"""What an evaluation found, as records: one JSON document, and a row of CSV for every score."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from bench.robustness.checklist.base import Checked
from bench.robustness.grid import Cell
from bench.robustness.score import Score


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """The check list of one `model`, asked of so many `images` at a radius of so many `levels` of 255; `digest` names
    its weights."""

    model: str
    digest: str
    images: int
    levels: Fraction
    items: tuple[Checked, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The cells that are finished, of `cells_planned`, and the check lists; `images` of `source` were attacked and
    every one scored on `draws` fresh draws."""

    source: str
    images: int
    draws: int
    seed: int
    cells: tuple[Cell, ...]
    cells_planned: int
    checks: tuple[CheckedModel, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing was left out for lack of time."""
        asked = [checked.outcome.verdict for model in self.checks for checked in model.items]
        return len(self.cells) == self.cells_planned and "not run" not in asked


def document(evaluation: Evaluation) -> dict[str, Any]:
    """The whole evaluation as JSON."""
    return {
        "schema": 1,
        "source": evaluation.source,
        "images": evaluation.images,
        "draws": evaluation.draws,
        "seed": evaluation.seed,
        "complete": evaluation.complete,
        "cells": [
            {
                **asdict(cell),
                "levels": float(cell.levels),
            }
            for cell in evaluation.cells
        ],
        "checks": [
            {
                "model": model.model,
                "digest": model.digest,
                "images": model.images,
                "levels": float(model.levels),
                "items": [_item(checked) for checked in model.items],
            }
            for model in evaluation.checks
        ],
    }


def _item(checked: Checked) -> dict[str, Any]:
    item, outcome = checked.item, checked.outcome
    return {
        "number": item.number,
        "title": item.title,
        "verdict": outcome.verdict,
        "figure": outcome.figure,
        "threshold": item.threshold,
        "source": item.source,
    }


_HEAD = ("model", "method", "spec", "levels", "delivered", "draws", "images")
_FIGURES = ("mean", "worst", "majority")
_TAIL = ("zero_gradients", "non_finite_gradients", "gradients", "queries")
_LATER = ("controller", "severity")


def table(cells: Sequence[Cell]) -> str:
    """CSV: two rows a cell, one for images as floats and one for 8-bit frames."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    bounds = [f"{figure}{bound}" for figure in _FIGURES for bound in ("", "_low", "_high")]
    writer.writerow([*_HEAD, *bounds, *_TAIL, *_LATER])
    for cell in cells:
        for delivered, score in (("float", cell.floats), ("frame", cell.frames)):
            head = (cell.model, cell.method, cell.spec, f"{float(cell.levels):g}", delivered, score.draws, score.mean.n)
            tail = (*(f"{getattr(cell, name):g}" for name in _TAIL), cell.controller, cell.severity or "")
            writer.writerow([*head, *_bounds(score), *tail])
    return text.getvalue()


def _bounds(score: Score) -> list[str]:
    estimates = [getattr(score, figure) for figure in _FIGURES]
    return [f"{value:.6f}" for each in estimates for value in (each.value, each.low, each.high)]
