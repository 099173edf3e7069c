"""What may lie on or before a sign: snow, a sticker, a leaf, a twig; and the plate that hangs below."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
from PIL import Image

from devices.renderer.canvas import Canvas
from devices.renderer.geometry import arc, path, placed

COVER_SIZE = 64
COVER_VARIANTS = 6


class CoverKind(IntEnum):
    """The kinds of covering."""

    LEAF = 0
    TWIG = 1
    STICKER = 2
    SNOW = 3


@dataclass(frozen=True, slots=True)
class Cover:
    """A covering: which drawing, and where on the sign its middle lies, in sign units."""

    kind: CoverKind
    variant: int
    centre: tuple[float, float]
    reach: float

    @property
    def on_plate(self) -> bool:
        """Whether it ends where the plate ends (snow, sticker) or hangs before it (leaf, twig)."""
        return self.kind in (CoverKind.STICKER, CoverKind.SNOW)


def _leaf(canvas: Canvas, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(2, 5))):
        green = rng.uniform(0.5, 1.1)
        colour = (int(70 * green), int((110 if rng.random() < 0.7 else 75) * green), int(38 * green))
        blade = path(arc((0, 0), (0.55, 0.2), 180, 360), arc((0, 0), (0.55, 0.2), 0, 180))
        shift = (float(rng.uniform(-0.4, 0.4)), float(rng.uniform(-0.4, 0.4)))
        canvas.polygon(placed(blade, turn_deg=float(rng.uniform(0, 180)), shift=shift), colour)


def _twig(canvas: Canvas, rng: np.random.Generator) -> None:
    brown = int(rng.uniform(25, 70))
    colour = (brown + 8, brown, max(0, brown - 8))
    lean = float(rng.uniform(-25, 25))
    canvas.stroke(placed([(-1, 0.1), (-0.3, 0.0), (0.3, 0.08), (1, -0.1)], turn_deg=lean), 0.09, colour)
    for x in (-0.5, 0.05, 0.5):
        tip = (x + 0.25, float(rng.choice([-0.4, 0.4])) * float(rng.uniform(0.6, 1.4)))
        canvas.stroke(placed([(x, 0.04), tip], turn_deg=lean), 0.055, colour)


def _sticker(canvas: Canvas, rng: np.random.Generator) -> None:
    red, green, blue = (int(v) for v in rng.integers(20, 240, 3))
    wide, high = rng.uniform(0.5, 0.9), rng.uniform(0.35, 0.8)
    box = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (wide, high)
    turn = float(rng.uniform(-20, 20))
    canvas.polygon(placed(box, turn_deg=turn), (red, green, blue))
    canvas.polygon(placed(box * 0.6, turn_deg=turn), (255 - red, 255 - green, 255 - blue))


def _snow(canvas: Canvas, rng: np.random.Generator) -> None:
    depth = rng.uniform(0.1, 0.5, 9)
    lower = [(x, float(d)) for x, d in zip(np.linspace(1, -1, 9), depth, strict=True)]
    canvas.polygon(path((-1, -1), (1, -1), lower), (236, 240, 246))


@lru_cache(maxsize=64)
def cover_texture(kind: CoverKind, variant: int) -> Image.Image:
    """A covering's drawing, mode RGBa (alpha multiplied in), COVER_SIZE a side; shared, so never draw on it."""
    rng = np.random.default_rng((20112, int(kind), variant))
    canvas = Canvas(COVER_SIZE)
    (_leaf, _twig, _sticker, _snow)[kind](canvas, rng)
    return Image.fromarray(canvas.pixels()).convert("RGBa")


def drawn_cover(rng: np.random.Generator) -> Cover:
    """A random covering that leaves most of the pictogram free: it sits at the rim and reaches inwards a little."""
    kind = CoverKind(int(rng.integers(4)))
    variant = int(rng.integers(COVER_VARIANTS))
    angle = rng.uniform(0, 2 * np.pi)
    if kind is CoverKind.SNOW:
        return Cover(kind, variant, (0.0, float(rng.uniform(-0.95, -0.75))), 1.0)
    nearest, farthest = {CoverKind.STICKER: (0.18, 0.30), CoverKind.LEAF: (0.28, 0.50), CoverKind.TWIG: (0.7, 1.2)}[
        kind
    ]
    reach = float(rng.uniform(nearest, farthest))
    radius = rng.uniform(0.70, 1.0)
    return Cover(kind, variant, (float(radius * np.cos(angle)), float(radius * np.sin(angle))), reach)
