"""A sweep as a picture: accuracy against mean time (needs matplotlib)."""

from __future__ import annotations

from pathlib import Path

from bench.exits.sweep import Sweep
from bench.report.picture import PictureError

_CURVE, _STATIC, _ORACLE = "#1a5fb4", "#9aa0a6", "#2e7d32"


def draw_sweep(path: Path, sweep: Sweep, model: str) -> None:
    """Write the picture: every common threshold as a line, those of the table as points, static networks beside."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    line = sorted(sweep.line)
    axes.plot([ms for ms, _ in line], [accuracy for _, accuracy in line], color=_CURVE, label=f"{sweep.controller}")
    axes.scatter(
        [point.mean_ms for point in sweep.points],
        [point.accuracy.value for point in sweep.points],
        color=_CURVE,
        s=16,
        zorder=3,
    )
    for point in sweep.points:
        axes.annotate(
            f"{point.threshold:g}",
            (point.mean_ms, point.accuracy.value),
            textcoords="offset points",
            xytext=(4, -9),
            fontsize=7,
        )
    statics = [sweep.static, *(static for static, _ in sweep.beside)]
    marked = [(point, _STATIC, "s") for point in statics]
    for point, color, marker in [*marked, (sweep.oracle, _ORACLE, "*")]:
        axes.errorbar(
            point.mean_ms,
            point.accuracy.value,
            yerr=[
                [point.accuracy.value - point.accuracy.low],
                [point.accuracy.high - point.accuracy.value],
            ],
            color=color,
            marker=marker,
            linestyle="none",
            label=point.name,
        )
    axes.set(xlabel="mean inference, ms", ylabel="right answers", title=f"{model}: {sweep.frames:,} frames")
    axes.set_xlim(left=0)
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise PictureError(f"{path}: the picture cannot be written ({error.strerror or error})") from None
