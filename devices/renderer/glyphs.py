"""The digits and letters that stand on signs, as strokes in the manner of road lettering."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from devices.renderer.canvas import Canvas, Colour
from devices.renderer.geometry import Points, arc, path, placed


def _strokes(*lines: Points) -> tuple[Points, ...]:
    for line in lines:
        line.setflags(write=False)
    return lines


# Each glyph is a set of polylines: the middle of the stroke, in x [-1, 1] and y [-1, 1].
GLYPHS: Mapping[str, tuple[Points, ...]] = MappingProxyType(
    {
        "0": _strokes(path(arc((0, -0.42), (1, 0.58), 180, 360), arc((0, 0.42), (1, 0.58), 0, 180), (-1, -0.42))),
        "1": _strokes(path((-0.75, -0.52), (0.15, -1), (0.15, 1.12))),
        "2": _strokes(path(arc((0, -0.44), (1, 0.56), 190, 375), (-0.93, 1), (1.12, 1))),
        "3": _strokes(
            path(arc((-0.03, -0.5), (0.93, 0.5), 200, 450)),
            path(arc((-0.03, 0.46), (1.0, 0.54), -90, 160)),
            path((-0.38, 0), (0, 0)),
        ),
        "5": _strokes(path((0.85, -1), (-0.78, -1), (-0.85, -0.06), arc((0.0, 0.34), (1.0, 0.66), 215, 508))),
        "6": _strokes(
            path(arc((0, 0.36), (1, 0.64), 0, 360)),
            path((-1, 0.36), arc((0.35, 0.3), (1.35, 1.34), 182, 262)),
        ),
        "7": _strokes(path((-1.12, -1), (0.95, -1), (-0.35, 1.12))),
        "8": _strokes(path(arc((0, -0.52), (0.86, 0.48), 0, 360)), path(arc((0, 0.46), (1, 0.54), 0, 360))),
        "S": _strokes(
            path(arc((0.0, -0.5), (0.92, 0.5), -20, -225), (0.6, 0.12), arc((0.0, 0.5), (0.92, 0.5), -45, 160))
        ),
        "T": _strokes(path((-1.15, -1), (1.15, -1)), path((0, -1), (0, 1.12))),
        "O": _strokes(path(arc((0, -0.42), (1, 0.58), 180, 360), arc((0, 0.42), (1, 0.58), 0, 180), (-1, -0.42))),
        "P": _strokes(path((-0.9, 1.12), (-0.9, -1), (0.1, -1), arc((0.1, -0.42), (0.9, 0.58), -90, 90), (-0.9, 0.16))),
    }
)


def write(
    canvas: Canvas,
    text: str,
    colour: Colour,
    *,
    centre: tuple[float, float] = (0.0, 0.0),
    height: float,
    glyph_width: float,
    gap: float,
    stroke_width: float,
) -> None:
    """Draw `text` about `centre`; all lengths in canvas units, `gap` between neighbouring glyphs' inks."""
    half_x, half_y = (glyph_width - stroke_width) / 2, (height - stroke_width) / 2
    advance = [glyph_width * (0.62 if glyph == "1" else 1.0) for glyph in text]
    x = centre[0] - (sum(advance) + gap * (len(text) - 1)) / 2
    for glyph, wide in zip(text, advance, strict=True):
        for line in GLYPHS[glyph]:
            canvas.stroke(placed(line, scale=(half_x, half_y), shift=(x + wide / 2, centre[1])), stroke_width, colour)
        x += wide + gap
