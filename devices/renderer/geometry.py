"""Curves and placements as point arrays: shape (n, 2), columns x and y, y pointing down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points: TypeAlias = NDArray[np.float64]


def arc(
    centre: tuple[float, float],
    radius: float | tuple[float, float],
    start_deg: float,
    stop_deg: float,
    steps: int | None = None,
) -> Points:
    """Points along an elliptic arc, (steps + 1, 2); 0 degrees is right, 90 degrees is down."""
    count = steps if steps is not None else max(4, int(abs(stop_deg - start_deg) / 6))
    angle = np.radians(np.linspace(start_deg, stop_deg, count + 1))
    radius_x, radius_y = radius if isinstance(radius, tuple) else (radius, radius)
    return np.stack([centre[0] + radius_x * np.cos(angle), centre[1] + radius_y * np.sin(angle)], axis=1)


def path(*pieces: ArrayLike) -> Points:
    """One polyline, (n, 2), out of points and polylines in order."""
    return np.concatenate([np.atleast_2d(np.asarray(piece, dtype=np.float64)) for piece in pieces])


def placed(
    points: ArrayLike,
    *,
    scale: float | tuple[float, float] = 1.0,
    turn_deg: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Points:
    """The points (n, 2) scaled about the origin, turned clockwise (y points down), then shifted."""
    turned = np.asarray(points, dtype=np.float64) * np.asarray(scale)
    cosine, sine = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    moved: Points = turned @ np.array([[cosine, sine], [-sine, cosine]]) + np.asarray(shift)
    return moved


def mirrored(points: ArrayLike) -> Points:
    """The points (n, 2) with left and right swapped about x = 0."""
    swapped: Points = np.asarray(points, dtype=np.float64) * np.array([-1.0, 1.0])
    return swapped


def regular_polygon(corners: int, radius: float, first_deg: float) -> Points:
    """Corners of a regular polygon about the origin, (corners, 2); the first stands at `first_deg`."""
    return arc((0.0, 0.0), radius, first_deg, first_deg + 360.0, corners)[:-1]


def rounded(corners: Iterable[ArrayLike], radius: float) -> Points:
    """A convex polygon's outline with each corner replaced by an arc of `radius`."""
    points = np.array([np.asarray(corner, dtype=np.float64) for corner in corners])
    outline = []
    for before, corner, after in zip(np.roll(points, 1, axis=0), points, np.roll(points, -1, axis=0), strict=True):
        towards_before = (before - corner) / np.linalg.norm(before - corner)
        towards_after = (after - corner) / np.linalg.norm(after - corner)
        half_angle = np.arccos(np.clip(towards_before @ towards_after, -1.0, 1.0)) / 2
        bisector = (towards_before + towards_after) / np.linalg.norm(towards_before + towards_after)
        centre = corner + bisector * radius / np.sin(half_angle)
        first = corner + towards_before * radius / np.tan(half_angle) - centre
        last = corner + towards_after * radius / np.tan(half_angle) - centre
        start = np.degrees(np.arctan2(first[1], first[0]))
        sweep = (np.degrees(np.arctan2(last[1], last[0])) - start + 180.0) % 360.0 - 180.0
        outline.append(arc((float(centre[0]), float(centre[1])), radius, start, start + sweep, 8))
    return np.concatenate(outline)
