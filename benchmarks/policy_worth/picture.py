"""Accuracy over the latency saved: policies, chance, fixed routes (needs matplotlib)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def best_fixed(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The fixed routes that no other beats in both accuracy and latency, most accurate first."""
    fixed = sorted((row for row in rows if row["kind"] == "fixed"), key=lambda row: -row["accuracy"])
    best: list[Mapping[str, Any]] = []
    for row in fixed:
        if not best or row["latency_saved"] > best[-1]["latency_saved"]:
            best.append(row)
    return best


def draw(document: Mapping[str, Any], path: Path) -> None:
    """Write the picture."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    rows = document["rows"]
    every = [row for row in rows if row["kind"] == "fixed"]
    axes.scatter(*_points(every), s=7, color="#c0c4c8", label="every fixed route", zorder=1)
    front = sorted(best_fixed(rows), key=lambda row: row["latency_saved"])
    axes.plot(*_points(front), color="#9aa0a6", linewidth=1, zorder=2, label="best fixed routes (0 bits)")
    for kind, color, label in (
        ("random", "#c64600", "random:p"),
        ("policy", "#1a5fb4", "policies at other targets"),
    ):
        curve = sorted((row for row in rows if row["kind"] == kind), key=lambda row: row["latency_saved"])
        axes.plot(*_points(curve), marker="o", markersize=4, color=color, label=label, zorder=3)
    for row in rows:
        if row["name"] == "as shipped":
            low, high = row["accuracy"] - row["accuracy_low"], row["accuracy_high"] - row["accuracy"]
            x, y = _points([row])
            error = [[100 * low], [100 * high]]
            axes.errorbar(x, y, yerr=error, marker="*", markersize=13, color="#26a269", label="as shipped", zorder=4)
    best = 100 * max(row["accuracy"] for row in rows)
    axes.set(xlabel="mean latency saved, %", ylabel="right answers, %", ylim=(best - 12, best + 0.5), xlim=(-2, 65))
    axes.set_title(f"{document['bundle']}, {document['images']} test images, expectation over all routes", fontsize=9)
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def _points(rows: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    return [100 * row["latency_saved"] for row in rows], [100 * row["accuracy"] for row in rows]
