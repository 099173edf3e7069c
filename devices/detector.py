"""Finds a traffic sign in a street scene, by colour and shape: simple, explainable, a few milliseconds.

Red rings and plates, blue discs and yellow diamonds are found; signs that mark the end of a restriction are black on
white, have no colour, and are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from devices.components import Boxes, Runs, boxes_of, find_runs

Roi = tuple[int, int, int, int]
Plane = NDArray[np.int16]

# GTSRB's pictures have a border of a tenth of the sign around it.
MARGIN = 0.10
# The sides of a sign that are looked for, in pixels of the searched picture, which has at most SEARCHED_SIDE.
SMALLEST, LARGEST_SHARE = 8, 0.6
SEARCHED_SIDE = 320
# Colours are told apart in units of 1/64 of the brightness, so that a sign in the dark is as red as one in the sun.
# Each is tried at two levels: a low one keeps faded signs whole, a high one parts signs from what is behind.
LEVELS = {"red": (5, 12), "blue": (6, 14), "yellow": (8, 18)}
# A sum of red, green and blue below this is noise.
DARKEST = 24
# How far the outline may be from that of a sign, as a share of its width.
MOST_MISFIT = 0.13
CANDIDATES = 12
# On rendered scenes 99% of the signs that are found score higher, and 70% of the streets without a sign lower.
LEAST_SCORE = 0.25
# A sign that is turned away from the camera by 44 degrees is so much higher than it is wide.
MOST_ELONGATED = 1.4
# Heights at which outlines are compared, as shares of the sign's.
HEIGHTS = (np.arange(12) + 0.5) / 12
OUTLINES = {
    "disc": 2 * np.sqrt(HEIGHTS * (1 - HEIGHTS)),
    "octagon": np.minimum(1.0, 0.4142 + 2 * np.minimum(HEIGHTS, 1 - HEIGHTS)),
    "point up": HEIGHTS,
    "point down": 1 - HEIGHTS,
    "diamond": 1 - np.abs(2 * HEIGHTS - 1),
}
SHAPES = {"red": ("disc", "octagon", "point up", "point down"), "blue": ("disc",), "yellow": ("diamond",)}
# Of a priority road's diamond the yellow is the inner part, and the white border is missing.
GROWTH = {"red": 0.0, "blue": 0.0, "yellow": 0.22}


class Sighting(NamedTuple):
    """A sign: its box x1, y1, x2, y2 in pixels of the picture, its colour and outline.

    `score` is from 0 on: how well the outline fits, times roots of how large the sign and how strong its colour is.
    """

    box: tuple[float, float, float, float]
    colour: str
    outline: str
    score: float


class SignDetector:
    """Where to look in every frame: `detector(image)`.

    The best sighting with a tenth of it as margin; in a frame without one the region before, for up to `hold` frames;
    then the square in the middle of the picture.  `found`, `held` and `missed` count frames of each kind.
    """

    def __init__(self, hold: int = 10) -> None:
        self.found = self.held = self.missed = 0
        self._hold, self._left = hold, 0
        self._before: Roi | None = None
        self._shape: tuple[int, ...] = ()

    def __call__(self, image: NDArray[np.uint8]) -> Roi:
        """The region of (height, width, 3) uint8 RGB: x1, y1, x2, y2 in pixels, x2 and y2 exclusive."""
        sighting = find_sign(image)
        if sighting is not None:
            self.found += 1
            self._left, self._shape = self._hold, image.shape
            self._before = with_margin(sighting.box, image.shape[1], image.shape[0])
            return self._before
        if self._before is not None and self._left and image.shape == self._shape:
            self.held += 1
            self._left -= 1
            return self._before
        self.missed += 1
        return middle_square(image.shape[1], image.shape[0])

    def remarks(self) -> list[str]:
        """In how many frames no sign was found, as a sentence, if there were any."""
        without = self.held + self.missed
        if not without:
            return []
        return [
            f"no sign was found in {without:,} of {self.found + without:,} frames: {self.held:,} took the region "
            f"of the frame before, {self.missed:,} the middle of the picture"
        ]


def find_sign(image: NDArray[np.uint8]) -> Sighting | None:
    """The best sighting in (height, width, 3) uint8 RGB, or None."""
    step = max(1, -(-max(image.shape[:2]) // SEARCHED_SIDE))
    if min(image.shape[:2]) < SMALLEST * step:
        return None
    red, green, blue = _shrunk(image, step)
    best = max(_sightings(red, green, blue), key=lambda sighting: sighting.score, default=None)
    if best is None or best.score < LEAST_SCORE:
        return None
    x1, y1, x2, y2 = (edge * step for edge in best.box)
    return best._replace(box=(x1, y1, x2, y2))


def with_margin(box: tuple[float, float, float, float], width: int, height: int) -> Roi:
    """The box grown by the margin on every side, in whole pixels, within the picture."""
    x1, y1, x2, y2 = box
    margin = MARGIN * max(x2 - x1, y2 - y1)
    return (
        max(0, round(x1 - margin)),
        max(0, round(y1 - margin)),
        min(width, round(x2 + margin)),
        min(height, round(y2 + margin)),
    )


def middle_square(width: int, height: int) -> Roi:
    """The largest square in the middle of the picture."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def _shrunk(image: NDArray[np.uint8], step: int) -> tuple[Plane, Plane, Plane]:
    """The planes, each pixel the mean of two by two where there are as many: it takes half of the sensor's noise."""
    height, width = image.shape[0] // step * step, image.shape[1] // step * step
    cut = image[:height, :width]
    if step == 1:
        planes = cut.astype(np.int16)
    else:
        planes = cut[::step, ::step].astype(np.int16)
        for down, across in ((0, 1), (1, 0), (1, 1)):
            planes += cut[down::step, across::step]
        planes >>= 2
    red, green, blue = (np.ascontiguousarray(planes[:, :, channel]) for channel in range(3))
    return red, green, blue


def _sightings(red: Plane, green: Plane, blue: Plane) -> Iterator[Sighting]:
    brightness = red + green + blue
    lit = brightness >= DARKEST
    excess = {
        "red": red - np.maximum(green, blue),
        "blue": blue - np.maximum(red, green) + (blue - red >> 1),
        "yellow": np.minimum(red, green) - blue - (np.abs(red - green) >> 1),
    }
    for colour, plane in excess.items():
        for level in LEVELS[colour]:
            # 64 * excess would leave int16.
            mask = (plane * 16 > brightness * level >> 2) & lit
            for sighting, rows, columns in _fitting(colour, find_runs(mask), mask.shape):
                inside = mask[rows, columns]
                strength = plane[rows, columns][inside].sum() / brightness[rows, columns][inside].sum()
                yield sighting._replace(score=sighting.score * float(strength) ** 0.5)


def _fitting(colour: str, runs: Runs, shape: tuple[int, ...]) -> Iterator[tuple[Sighting, slice, slice]]:
    """The components that have the size, the proportions and the outline of a sign, and their rows and columns."""
    boxes = boxes_of(runs)
    widths, heights = boxes.right - boxes.left, boxes.bottom - boxes.top
    smaller, larger = np.minimum(widths, heights), np.maximum(widths, heights)
    fits = (smaller >= SMALLEST) & (larger <= LARGEST_SHARE * min(shape)) & (larger <= MOST_ELONGATED * smaller)
    # What the picture's edge cuts off has the edge's outline: most often a piece of the sky.
    fits &= (boxes.left > 0) & (boxes.top > 0) & (boxes.right < shape[1]) & (boxes.bottom < shape[0])
    likely = np.flatnonzero(fits)
    for component in likely[np.argsort(smaller[likely])[::-1][:CANDIDATES]]:
        outline, misfit = _best_outline(runs, boxes, int(component), SHAPES[colour])
        if misfit <= MOST_MISFIT:
            left, top, right, bottom = (int(edges[component]) for edges in boxes)
            across, down = GROWTH[colour] * (right - left), GROWTH[colour] * (bottom - top)
            size = max(right - left + 2 * across, bottom - top + 2 * down)
            score = (1 - misfit / (1.2 * MOST_MISFIT)) * size**0.25
            sighting = Sighting((left - across, top - down, right + across, bottom + down), colour, outline, score)
            yield sighting, slice(top, bottom), slice(left, right)


def _best_outline(runs: Runs, boxes: Boxes, component: int, names: tuple[str, ...]) -> tuple[str, float]:
    """Which outline is nearest, and how far off it is: the mean distance of both edges, as a share of the width."""
    left, right = _edges(runs, boxes, component)
    misfits = {
        name: float(np.abs(left - (1 - OUTLINES[name]) / 2).mean() + np.abs(right - (1 + OUTLINES[name]) / 2).mean())
        / 2
        for name in names
    }
    return min(misfits.items(), key=lambda item: item[1])


def _edges(runs: Runs, boxes: Boxes, component: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The outermost pixels at each of HEIGHTS, as shares of the width; a row without any is as wide as nothing."""
    own = runs.component == component
    row, height = runs.row[own] - boxes.top[component], int(boxes.bottom[component] - boxes.top[component])
    width = float(boxes.right[component] - boxes.left[component])
    left, right = np.full(height, np.inf), np.full(height, -np.inf)
    np.minimum.at(left, row, runs.start[own] - boxes.left[component])
    np.maximum.at(right, row, runs.stop[own] - boxes.left[component])
    asked = (HEIGHTS * height).astype(np.intp)
    return left[asked] / width, right[asked] / width
