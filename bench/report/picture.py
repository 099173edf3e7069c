"""The run as a picture: the latency of every frame, beside the baseline's (needs matplotlib)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.summary import RunSummary
from bench.timeline import FrameRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".png", ".svg", ".pdf")
_BASELINE_COLOR = "#9aa0a6"
_MODEL_COLOR = "#1a5fb4"
# Of the distinct numbers of blocks: light for few, dark for many.
_COLORS = "viridis_r"


class PictureError(Exception):
    """The picture cannot be drawn: one sentence."""


def check_picture(path: Path) -> None:
    """Refuse, before anything is measured, a picture that could not be drawn afterwards.

    Raises:
        PictureError: matplotlib is missing, or the file's ending names no format.
    """
    if path.suffix.lower() not in FORMATS:
        raise PictureError(f"{path}: a picture's name ends in {', '.join(FORMATS)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise PictureError("a picture needs matplotlib: pip install 'edgebench[report]'") from None


def draw_frames(path: Path, records: Sequence[FrameRecord], summary: RunSummary) -> None:
    """Write the picture: frame by frame, inference latency in milliseconds, coloured by the number of blocks kept."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes, legend_axes = figure.subplots(1, 2, sharey=True, width_ratios=(5, 1))
    top = 0.0
    for network, color in ((summary.baseline, _BASELINE_COLOR), (summary.model, _MODEL_COLOR)):
        if network is None:
            continue
        rows = [
            row for row in records if row.network == network.network and not row.warm_up and row.predicted is not None
        ]
        frames = np.array([row.frame for row in rows])
        latency_ms = np.array([row.inference_ns for row in rows]) / 1e6
        if network.gates:
            kept = np.array([row.route.count("1") for row in rows])
            dots = axes.scatter(frames, latency_ms, c=kept, s=5, cmap=_COLORS, vmin=0, vmax=network.gates, zorder=3)
            figure.colorbar(dots, ax=legend_axes, label="blocks kept")
        else:
            axes.scatter(frames, latency_ms, s=5, color=color, zorder=2)
        _distribution(legend_axes, latency_ms, color)
        _mean_line(axes, network.network, float(latency_ms.mean()), color)
        top = max(top, float(np.quantile(latency_ms, 0.995)))
    # A few outliers must not press everything else to the floor; how many stand above is said.
    axes.set_ylim(0, 1.25 * top)
    axes.set(xlabel="frame", ylabel="inference, ms", title=_title(summary))
    axes.legend(loc="upper right", ncols=2, frameon=False)
    legend_axes.set(xlabel="share of frames", xticks=[])
    for each in (axes, legend_axes):
        each.spines[["top", "right"]].set_visible(False)
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise PictureError(f"{path}: the picture cannot be written ({error.strerror or error})") from None


def _mean_line(axes: Axes, name: str, mean_ms: float, color: str) -> None:
    axes.axhline(mean_ms, color=color, linewidth=1.2, zorder=4, label=f"{name}: mean {mean_ms:.2f} ms")


def _distribution(axes: Axes, latency_ms: np.ndarray[tuple[int], np.dtype[np.float64]], color: str) -> None:
    counts, edges = np.histogram(latency_ms, bins=80, range=(0, float(np.quantile(latency_ms, 0.995)) * 1.05))
    axes.stairs(counts / counts.sum(), edges, orientation="horizontal", color=color, fill=True, alpha=0.5)


def _title(summary: RunSummary) -> str:
    if summary.reduction is None or summary.baseline is None:
        return f"{summary.model.network}, frame by frame"
    reduction = summary.reduction
    return (
        f"{summary.model.network} beside {summary.baseline.network}: {reduction.value:.1%} less time a frame "
        f"[{reduction.low:.1%}, {reduction.high:.1%}]"
    )
