"""The plates: shape, border and ground of a sign before its pictogram, in German colours."""

from __future__ import annotations

import numpy as np

from devices.renderer.canvas import Canvas, Colour
from devices.renderer.geometry import Points, arc, path, regular_polygon, rounded

WHITE: Colour = (246, 246, 244)
BLACK: Colour = (18, 18, 20)
RED: Colour = (196, 22, 30)
BLUE: Colour = (12, 76, 160)
YELLOW: Colour = (252, 186, 10)
GREY: Colour = (132, 134, 136)
GREEN: Colour = (0, 140, 80)

EDGE = 0.97  # outermost coordinate of a plate; the rest keeps the antialiased rim inside the picture

# Corners of the warning triangle before rounding, and the height of its incentre.
TRIANGLE_CORNERS = ((0.0, -0.95), (1.06, 0.82), (-1.06, 0.82))
TRIANGLE_INCENTRE = 0.219


def circle_outline() -> Points:
    """Outline of every round plate, (n, 2)."""
    return arc((0, 0), EDGE, 0, 360, 48)[:-1]


def triangle_outline() -> Points:
    """Outline of the warning triangle, point up, (n, 2)."""
    return rounded(TRIANGLE_CORNERS, 0.09)


def yield_outline() -> Points:
    """Outline of the yield triangle, point down, (n, 2)."""
    outline: Points = triangle_outline() * np.array([1.0, -1.0])
    return outline


def octagon_outline() -> Points:
    """Outline of the stop sign, (n, 2)."""
    return rounded(regular_polygon(8, EDGE / np.cos(np.pi / 8), 22.5), 0.05)


def diamond_outline() -> Points:
    """Outline of the priority-road sign, (n, 2)."""
    return rounded(regular_polygon(4, EDGE + 0.04, 0.0), 0.1)


def _triangle_within(outline: Points, factor: float, incentre_y: float) -> Points:
    """The triangle shrunk towards its incentre, so that the border has the same width on all three sides."""
    shrunk: Points = (outline - np.array([0.0, incentre_y])) * factor + np.array([0.0, incentre_y])
    return shrunk


def prohibition(canvas: Canvas) -> None:
    """White disc with a red ring and a thin white rim."""
    canvas.disc((0, 0), EDGE, WHITE)
    canvas.disc((0, 0), EDGE - 0.03, RED)
    canvas.disc((0, 0), 0.70, WHITE)


def end_of_prohibition(canvas: Canvas) -> None:
    """White disc with a thin black line near its rim."""
    canvas.disc((0, 0), EDGE, WHITE)
    canvas.disc((0, 0), EDGE - 0.03, BLACK)
    canvas.disc((0, 0), EDGE - 0.07, WHITE)


def mandatory(canvas: Canvas) -> None:
    """Blue disc with a white rim."""
    canvas.disc((0, 0), EDGE, WHITE)
    canvas.disc((0, 0), EDGE - 0.06, BLUE)


def no_entry_disc(canvas: Canvas) -> None:
    """Red disc with a thin white rim."""
    canvas.disc((0, 0), EDGE, WHITE)
    canvas.disc((0, 0), EDGE - 0.03, RED)


def warning(canvas: Canvas) -> None:
    """White triangle with a red border, point up."""
    outline = triangle_outline()
    canvas.polygon(outline, WHITE)
    canvas.polygon(_triangle_within(outline, 0.95, TRIANGLE_INCENTRE), RED)
    canvas.polygon(_triangle_within(outline, 0.72, TRIANGLE_INCENTRE), WHITE)


def give_way(canvas: Canvas) -> None:
    """White triangle with a red border, point down."""
    outline = yield_outline()
    canvas.polygon(outline, WHITE)
    canvas.polygon(_triangle_within(outline, 0.95, -TRIANGLE_INCENTRE), RED)
    canvas.polygon(_triangle_within(outline, 0.66, -TRIANGLE_INCENTRE), WHITE)


def octagon(canvas: Canvas) -> None:
    """Red octagon with a white rim."""
    canvas.polygon(octagon_outline(), WHITE)
    canvas.polygon(octagon_outline() * 0.93, RED)


def diamond(canvas: Canvas) -> None:
    """White diamond with a thin black line."""
    canvas.polygon(diamond_outline(), WHITE)
    canvas.polygon(diamond_outline() * 0.965, BLACK)
    canvas.polygon(diamond_outline() * 0.925, WHITE)


def end_stripes(canvas: Canvas) -> None:
    """The five black lines from lower left to upper right that end a prohibition."""
    for offset in (-0.22, -0.11, 0.0, 0.11, 0.22):
        half = np.sqrt((EDGE - 0.05) ** 2 - offset**2)
        middle = np.array([offset, offset]) / np.sqrt(2)
        along = np.array([half, -half]) / np.sqrt(2)
        canvas.stroke(path(middle - along, middle + along), 0.058, BLACK)
