"""A square sheet to draw vectors on, in the unit square [-1, 1] x [-1, 1] with y pointing down."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from devices.renderer.geometry import arc, path

Colour: TypeAlias = tuple[int, int, int]


class Canvas:
    """Polygons, strokes and discs, drawn at `supersampling` times the size and averaged down.

    Starts transparent; what is drawn later lies on top.
    """

    def __init__(self, size: int, supersampling: int = 4) -> None:
        self._size = size
        self._fine_size = size * supersampling
        self._image = Image.new("RGBA", (self._fine_size, self._fine_size), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, outline: ArrayLike, colour: Colour) -> None:
        """Fill the closed outline, (n, 2) in [-1, 1]."""
        # No half pixel is taken off: Pillow 13 fills a centred disc symmetrically only this way.
        pixels = (np.asarray(outline, dtype=np.float64) + 1.0) * (self._fine_size / 2)
        self._draw.polygon(pixels.ravel().tolist(), fill=(*colour, 255))

    def disc(self, centre: tuple[float, float], radius: float, colour: Colour) -> None:
        """Fill a disc."""
        self.polygon(arc(centre, radius, 0.0, 360.0, 72), colour)

    def ring(self, centre: tuple[float, float], radius: float, width: float, colour: Colour) -> None:
        """Draw a circle's line of `width` whose middle lies at `radius`."""
        circle = arc(centre, radius, 0.0, 360.0, 72)
        self.stroke(circle, width, colour)

    def stroke(
        self, line: ArrayLike, width: float, colour: Colour, *, closed: bool = False, round_ends: bool = False
    ) -> None:
        """Draw the polyline (n, 2) with `width`: round at the bends, flat at the ends unless `round_ends`."""
        points = np.asarray(line, dtype=np.float64)
        if closed:
            points = path(points, points[0])
        for start, stop in pairwise(points):
            length = float(np.hypot(*(stop - start)))
            if length > 0.0:
                across = (stop - start)[::-1] * np.array([-1.0, 1.0]) * (width / 2 / length)
                self.polygon([start + across, stop + across, stop - across, start - across], colour)
        whole = closed or round_ends or bool(np.allclose(points[0], points[-1]))
        joint = arc((0.0, 0.0), width / 2, 0.0, 360.0, 24)
        for point in points if whole else points[1:-1]:
            self.polygon(joint + point, colour)

    def pixels(self) -> NDArray[np.uint8]:
        """The drawing as RGBA, (size, size, 4) uint8, alpha not multiplied in."""
        return np.asarray(self._image.resize((self._size, self._size), Image.Resampling.BOX), dtype=np.uint8)
