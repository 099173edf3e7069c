"""Accuracy over the radius of the attack as a picture (needs matplotlib)."""

from __future__ import annotations

from pathlib import Path

from bench.report.picture import PictureError
from bench.robustness.evaluation import Evaluation
from bench.robustness.grid import CLEAN

_COLORS = ("#1a5fb4", "#9aa0a6", "#2e7d32", "#c64600", "#813d9c", "#a51d2d")
_LINES = ("-", "--", ":", "-.")


def draw_robustness(path: Path, evaluation: Evaluation) -> None:
    """Write the picture: a line for every model (colour) and method (dashes) with its interval, as floats, and the
    worst of all draws as small marks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    models = list(dict.fromkeys(cell.model for cell in evaluation.cells))
    attacked = [cell for cell in evaluation.cells if cell.method != CLEAN and not cell.severity]
    methods = list(dict.fromkeys(cell.method for cell in attacked))
    for model in models:
        color = _COLORS[models.index(model) % len(_COLORS)]
        for method in methods or [CLEAN]:
            cells = [each for each in evaluation.cells if each.model == model and each.method in (CLEAN, method)]
            cells.sort(key=lambda cell: cell.levels)
            levels, means = [float(each.levels) for each in cells], [each.floats.mean for each in cells]
            axes.plot(
                levels,
                [mean.value for mean in means],
                color=color,
                linestyle=_LINES[methods.index(method) % len(_LINES)] if methods else "none",
                marker="o",
                markersize=4,
                label=f"{model}, {method}",
            )
            axes.fill_between(
                levels,
                [mean.low for mean in means],
                [mean.high for mean in means],
                color=color,
                alpha=0.12,
                linewidth=0,
            )
            worst = [each.floats.worst.value for each in cells]
            axes.scatter(levels, worst, color=color, marker="_", s=40, zorder=3)
    axes.set(
        xlabel="radius, of 255",
        ylabel="right answers",
        title=f"{evaluation.images:,} images, {evaluation.draws} fresh draws each (bar: right in all of them)",
        ylim=(0, 1.02),
    )
    axes.set_xlim(left=0)
    axes.legend(loc="upper right", frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise PictureError(f"{path}: the picture cannot be written ({error.strerror or error})") from None
