"""Connected components of a mask, with numpy alone: by runs, so that the work follows the edges and not the area."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.intp]


class Runs(NamedTuple):
    """Stretches of set pixels within a row, `start` to `stop` (exclusive), and which component each belongs to.

    All are (runs,); components are numbered from 0.
    """

    row: Numbers
    start: Numbers
    stop: Numbers
    component: Numbers


class Boxes(NamedTuple):
    """The box of each component, bottom and right exclusive; all are (components,)."""

    left: Numbers
    top: Numbers
    right: Numbers
    bottom: Numbers


def find_runs(mask: NDArray[np.bool_]) -> Runs:
    """The runs of a (height, width) mask; pixels that touch at a corner belong together.

    >>> find_runs(np.array([[1, 0, 1], [0, 1, 0]], bool)).component
    array([0, 0, 0])
    """
    height, width = mask.shape
    # A column of zeros ends every row, so that the mask can be read as one line.
    line = np.zeros((height, width + 1), np.int8)
    line[:, :width] = mask
    edges = np.flatnonzero(np.diff(line.ravel(), prepend=np.int8(0)))
    starts, stops = edges[::2], edges[1::2]
    row, start = np.divmod(starts, width + 1)
    above, below = _touching(starts, stops, width + 1)
    return Runs(row, start, start + stops - starts, _joined(len(starts), above, below))


def boxes_of(runs: Runs) -> Boxes:
    """The boxes of the components."""
    count = int(runs.component.max(initial=-1)) + 1
    left, top = np.full((2, count), np.iinfo(np.intp).max)
    right, bottom = np.zeros((2, count), np.intp)
    np.minimum.at(left, runs.component, runs.start)
    np.minimum.at(top, runs.component, runs.row)
    np.maximum.at(right, runs.component, runs.stop)
    np.maximum.at(bottom, runs.component, runs.row + 1)
    return Boxes(left, top, right, bottom)


def _touching(starts: Numbers, stops: Numbers, pitch: int) -> tuple[Numbers, Numbers]:
    """Pairs of runs in neighbouring rows that touch; positions are those in the line."""
    first = np.searchsorted(stops, starts + pitch, "left")
    last = np.searchsorted(starts, stops + pitch, "right")
    counts = np.maximum(last - first, 0)
    above = np.repeat(np.arange(len(starts)), counts)
    below = np.arange(len(above)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    return above, below


def _joined(count: int, above: Numbers, below: Numbers) -> Numbers:
    """The component of each run: every root takes the smallest root that it touches, until nothing changes."""
    root = np.arange(count)
    while True:
        smallest = np.minimum(root[above], root[below])
        before = root.copy()
        np.minimum.at(root, before[above], smallest)
        np.minimum.at(root, before[below], smallest)
        while not np.array_equal(root[root], root):
            root = root[root]
        if np.array_equal(root, before):
            return np.unique(root, return_inverse=True)[1]
