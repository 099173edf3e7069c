"""What a decision network does, as a picture: how often each class keeps each gate (needs matplotlib)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.policy import PolicySummary
from bench.report.picture import PictureError

_COLORS = "viridis"
_BAR_COLOR = "#1a5fb4"
_ENTROPY_COLOR = "#9aa0a6"


def draw_policy(path: Path, summary: PolicySummary, model: str, classes: Sequence[str]) -> None:
    """Write the picture: keep-probability of each gate over all frames, and by class where the source has labels."""
    from matplotlib.figure import Figure

    gates = len(summary.keep_mean)
    rows = max(1, len(summary.classes))
    figure = Figure(figsize=(9, 2.6 + 0.19 * rows), layout="constrained")
    heights = (2.0, 0.19 * rows + 0.4)
    (means, corner), (table, bits) = figure.subplots(2, 2, height_ratios=heights, width_ratios=(4, 1), sharex="col")
    corner.set_axis_off()
    means.bar(range(gates), summary.keep_mean, yerr=summary.keep_spread, color=_BAR_COLOR, ecolor=_ENTROPY_COLOR)
    means.set(ylim=(0, 1), ylabel="kept", title=_title(summary, model))
    if summary.classes:
        keep = np.array([each.keep for each in summary.classes])
        image = table.imshow(keep, aspect="auto", vmin=0, vmax=1, cmap=_COLORS)
        names = [classes[each.label] if each.label < len(classes) else str(each.label) for each in summary.classes]
        table.set_yticks(range(rows), names, fontsize=7)
        bits.barh(range(rows), [each.entropy_bits for each in summary.classes], color=_ENTROPY_COLOR)
        bits.set(ylim=table.get_ylim(), yticks=[], xlabel="bits of the route")
        figure.colorbar(image, ax=bits, label="keep-probability")
    else:
        table.set_axis_off()
        bits.set_axis_off()
    table.set_xticks(range(gates))
    table.set_xlabel("gate, first block first")
    for axes in (means, bits):
        axes.spines[["top", "right"]].set_visible(False)
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise PictureError(f"{path}: the picture cannot be written ({error.strerror or error})") from None


def _title(summary: PolicySummary, model: str) -> str:
    entropy = f", {summary.entropy_bits.value:.2f} bits a frame" if summary.entropy_bits else ""
    return f"{model}: {summary.saved:.1%} of the MACs saved{entropy} ({summary.frames:,} frames)"
