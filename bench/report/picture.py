"""The run as a picture: the latency of every frame, beside the baseline's (needs matplotlib)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.summary import RunSummary
from bench.timeline import FrameRecord

FORMATS = (".png", ".svg", ".pdf")
_BASELINE_COLOR = "#9aa0a6"
_MODEL_COLOR = "#1a5fb4"
# Of the distinct numbers of blocks: light for few, dark for many.
_COLORS = "viridis_r"
# The share of the frames that must lie inside the picture.
_SHOWN = 0.985


class PictureError(Exception):
    """The picture cannot be drawn: one sentence."""


def check_picture(path: Path | None) -> None:
    """Refuse, before anything is measured, a picture that could not be drawn afterwards; None is no picture.

    Raises:
        PictureError: matplotlib is missing, or the file's ending names no format, or its folder cannot be written to.
    """
    if path is None:
        return
    if path.suffix.lower() not in FORMATS:
        raise PictureError(f"{path}: a picture's name ends in {', '.join(FORMATS)}")
    if not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise PictureError(f"{path}: {path.parent} is no folder that you may write to: choose another for the picture")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise PictureError("a picture needs matplotlib: pip install 'edgebench[report]'") from None


def draw_frames(path: Path, records: Sequence[FrameRecord], summary: RunSummary) -> None:
    """Write the picture: frame by frame, inference latency in milliseconds, coloured by the number of blocks kept."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes, shares = figure.subplots(1, 2, sharey=True, width_ratios=(6, 1))
    top_ms = 0.0
    for network, color in ((summary.baseline, _BASELINE_COLOR), (summary.model, _MODEL_COLOR)):
        if network is None or network.frames == network.failed:
            continue
        rows = [each for each in records if each.network == network.network and not each.warm_up]
        rows = [each for each in rows if each.predicted is not None]
        frames = [each.frame for each in rows]
        latency_ms = np.array([each.inference_ns for each in rows]) / 1e6
        if network is summary.model and network.gates:
            kept = [each.route.count("1") for each in rows]
            dots = axes.scatter(frames, latency_ms, c=kept, s=6, cmap=_COLORS, vmin=0, vmax=network.gates, zorder=3)
            figure.colorbar(dots, ax=shares, label="blocks kept")
        else:
            axes.scatter(frames, latency_ms, s=6, color=color, zorder=2)
        axes.axhline(
            latency_ms.mean(),
            color=color,
            linewidth=1.2,
            zorder=4,
            label=f"{network.network}: {latency_ms.mean():.2f} ms",
        )
        high_ms = float(np.quantile(latency_ms, _SHOWN))
        counts, edges = np.histogram(latency_ms, bins=60, range=(0, high_ms))
        shares.stairs(counts / len(rows), edges, orientation="horizontal", color=color, fill=True, alpha=0.5)
        top_ms = max(top_ms, 1.3 * high_ms)
    # A few outliers must not press everything else to the floor.
    axes.set_ylim(0, top_ms)
    axes.set(xlabel="frame", ylabel="inference, ms", title=_title(summary))
    axes.legend(loc="upper right", ncols=2, frameon=False)
    shares.set(xlabel="share", xticks=[])
    for each_axes in (axes, shares):
        each_axes.spines[["top", "right"]].set_visible(False)
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise PictureError(f"{path}: the picture cannot be written ({error.strerror or error})") from None


def _title(summary: RunSummary) -> str:
    if summary.reduction is None or summary.baseline is None:
        return f"{summary.model.network}, frame by frame"
    reduction = summary.reduction
    return (
        f"{summary.model.network} beside {summary.baseline.network}: mean latency reduced by {reduction.value:.1%} "
        f"[{reduction.low:.1%}, {reduction.high:.1%}]"
    )
