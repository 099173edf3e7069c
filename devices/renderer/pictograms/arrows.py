"""Arrows: white ones on blue discs, black ones in warning triangles."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from devices.renderer.canvas import Canvas
from devices.renderer.geometry import Points, arc, mirrored, path, placed
from devices.renderer.plates import BLACK, WHITE


def _chevron(canvas: Canvas, tip: ArrayLike, direction_deg: float, size: float, width: float) -> None:
    """The two-armed head of a direction arrow; `size` is half its span."""
    back = width * 1.45
    head = [(0, 0), (-size, size), (-size - back, size), (-back, 0.0), (-size - back, -size), (-size, -size)]
    x, y = np.asarray(tip, dtype=np.float64)
    canvas.polygon(placed(head, turn_deg=direction_deg, shift=(float(x), float(y))), WHITE)


def _solid_head(
    canvas: Canvas, tip: tuple[float, float], direction_deg: float, length: float, half_width: float
) -> None:
    head = [(0, 0), (-length, half_width), (-length, -half_width)]
    canvas.polygon(placed(head, turn_deg=direction_deg, shift=tip), BLACK)


def _white_arrow(canvas: Canvas, line: Points, width: float = 0.17, head: float = 0.34) -> None:
    """A white arrow along the polyline; its last point is the tip."""
    step = line[-1] - line[-2]
    direction = step / np.hypot(*step)
    canvas.stroke(path(line[:-1], line[-1] - direction * width), width, WHITE)
    _chevron(canvas, line[-1], float(np.degrees(np.arctan2(direction[1], direction[0]))), head, width)


def _turn(side: int) -> Points:
    """Up, then a bend to the side: +1 right, -1 left."""
    line = path((-0.32, 0.72), (-0.32, 0.05), arc((-0.02, 0.05), 0.30, 180, 270), (0.70, -0.25))
    return line if side > 0 else mirrored(line)


def turn_ahead(canvas: Canvas, side: int) -> None:
    """Turn right ahead (side +1) or left ahead (side -1)."""
    _white_arrow(canvas, _turn(side), width=0.19, head=0.38)


def ahead_only(canvas: Canvas) -> None:
    """One arrow straight up."""
    _white_arrow(canvas, path((0, 0.74), (0, -0.76)), width=0.19, head=0.42)


def straight_or(canvas: Canvas, side: int) -> None:
    """An arrow up and one that branches to the side (+1 right, -1 left)."""
    stem_x = -0.22 * side
    _white_arrow(canvas, path((stem_x, 0.72), (stem_x, -0.74)), width=0.17, head=0.33)
    _white_arrow(canvas, path((stem_x, 0.30), (stem_x + 0.9 * side, 0.30)), width=0.17, head=0.33)


def keep(canvas: Canvas, side: int) -> None:
    """An arrow down to the side: pass on the right (+1) or on the left (-1)."""
    _white_arrow(canvas, path((-0.50 * side, -0.50), (0.54 * side, 0.54)), width=0.21, head=0.44)


def roundabout(canvas: Canvas) -> None:
    """Three arrows that chase each other counter-clockwise."""
    for third in range(3):
        turn = 120.0 * third
        band = path(arc((0, 0), 0.66, 42, -18), arc((0, 0), 0.49, -18, 42))
        canvas.polygon(placed(band, turn_deg=turn), WHITE)
        head = [(0.49, -0.50), (0.82, -0.15), (0.30, -0.15)]
        canvas.polygon(placed(head, turn_deg=turn), WHITE)


def curve(canvas: Canvas, side: int) -> None:
    """A bend to the right (+1) or to the left (-1) in a warning triangle."""
    line = path((-0.19, 0.59), (-0.19, 0.34), arc((0.04, 0.34), 0.23, 180, 270), (0.12, 0.11))
    head = (0.37, 0.11)
    canvas.stroke(line if side > 0 else mirrored(line), 0.17, BLACK)
    _solid_head(canvas, (head[0] * side, head[1]), 0.0 if side > 0 else 180.0, 0.26, 0.20)


def double_curve(canvas: Canvas) -> None:
    """A bend to the left followed by one to the right in a warning triangle."""
    canvas.stroke([(0.14, 0.60), (0.14, 0.30), (-0.10, 0.20), (-0.10, -0.08)], 0.15, BLACK)
    _solid_head(canvas, (-0.10, -0.33), -90.0, 0.27, 0.175)


def crossing_ahead(canvas: Canvas) -> None:
    """A thick arrow up across a thin bar: right of way at the next crossing."""
    canvas.stroke([(0.0, 0.60), (0.0, 0.0)], 0.21, BLACK)
    _solid_head(canvas, (0.0, -0.42), -90.0, 0.52, 0.24)
    canvas.stroke([(-0.36, 0.27), (0.36, 0.27)], 0.13, BLACK)


def narrows_right(canvas: Canvas) -> None:
    """The road narrows from the right: a straight edge left, a bending one right."""
    canvas.stroke([(-0.17, 0.61), (-0.17, -0.22)], 0.11, BLACK)
    canvas.stroke([(0.31, 0.61), (0.31, 0.34), (0.11, 0.06), (0.11, -0.22)], 0.11, BLACK)
