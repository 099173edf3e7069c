"""A paper's table again as a picture: figures beside the paper's ranges, and distributions (needs matplotlib)."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any

from bench.report.picture import PictureError
from bench.reproduce.findings import Distribution, Figure, Reproduction

_FOUND, _PAPER = "#1a5fb4", "#f0b400"
_MOST_COLUMNS = 3
# In a line over one of so many columns.
_MOST_LETTERS = 36


def draw_reproduction(path: Path, reproduction: Reproduction) -> None:
    """Write the picture: every share with its interval over the range that the paper admits, then the distributions."""
    from matplotlib.figure import Figure as Sheet

    found = reproduction.findings
    shares = [each for each in found.figures if each.unit == "share" and each.found is not None]
    shares = [each for each in shares if each.paper is not None] or shares
    columns = min(_MOST_COLUMNS, len(found.distributions)) or 1
    rows = -(-len(found.distributions) // columns)
    heights = [1.2 + 0.24 * max(1, len(shares)), *[2.2] * rows]
    sheet = Sheet(figsize=(10, sum(heights)), layout="constrained")
    # Of the whole sheet: beside long names the axes are narrower than a title.
    sheet.suptitle(reproduction.title, fontsize=9)
    grid = sheet.add_gridspec(1 + rows, columns, height_ratios=heights)
    _shares(sheet.add_subplot(grid[0, :]), shares)
    for index, each in enumerate(found.distributions):
        _distribution(sheet.add_subplot(grid[1 + index // columns, index % columns]), each)
    try:
        sheet.savefig(path, dpi=110)
    except OSError as error:
        raise PictureError(f"{path}: the picture cannot be written ({error.strerror or error})") from None


def _shares(axes: Any, figures: list[Figure]) -> None:
    for row, each in enumerate(figures):
        if each.paper is not None:
            axes.barh(row, each.paper.high - each.paper.low, left=each.paper.low, color=_PAPER, alpha=0.45, height=0.8)
        assert each.found is not None
        spread = [[each.found.value - each.found.low], [each.found.high - each.found.value]]
        axes.errorbar(each.found.value, row, xerr=spread, color=_FOUND, marker="o", markersize=4)
    names = [f"{each.measure}: {each.setting}, {each.attack}" for each in figures]
    axes.set_yticks(range(len(figures)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set(xlim=(-0.02, 1.02), xlabel="share (blue: found, with its interval; yellow: what the paper prints)")
    axes.spines[["top", "right"]].set_visible(False)


def _distribution(axes: Any, distribution: Distribution) -> None:
    total = sum(distribution.counts)
    axes.bar(distribution.values, [count / total for count in distribution.counts], color=_FOUND)
    axes.set(xlabel=distribution.measure, ylim=(0, 1))
    # Exits are whole numbers.
    axes.xaxis.get_major_locator().set_params(integer=True)
    setting = fill(distribution.setting, _MOST_LETTERS, break_on_hyphens=False)
    axes.set_title(f"{setting}\n{distribution.attack}, {total:,} examples", fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
