"""The remaining symbols: numbers, bars, lights, snow and bumps."""

from __future__ import annotations

import numpy as np

from devices.renderer.canvas import Canvas, Colour
from devices.renderer.geometry import path, placed
from devices.renderer.glyphs import write
from devices.renderer.plates import BLACK, GREEN, GREY, RED, WHITE, YELLOW, diamond_outline, end_stripes


def number(canvas: Canvas, digits: str, colour: Colour = BLACK) -> None:
    """The number of a speed limit: two or three digits."""
    if len(digits) == 2:
        write(canvas, digits, colour, height=0.70, glyph_width=0.43, gap=0.12, stroke_width=0.125)
    else:
        write(canvas, digits, colour, height=0.64, glyph_width=0.345, gap=0.09, stroke_width=0.105)


def struck_number(canvas: Canvas, digits: str) -> None:
    """A grey number, struck out: the end of a speed limit."""
    write(canvas, digits, GREY, height=0.92, glyph_width=0.58, gap=0.16, stroke_width=0.165)
    end_stripes(canvas)


def stop_word(canvas: Canvas) -> None:
    """The word STOP."""
    write(canvas, "STOP", WHITE, height=0.66, glyph_width=0.33, gap=0.085, stroke_width=0.11)


def entry_bar(canvas: Canvas) -> None:
    """The white bar of no entry."""
    canvas.polygon([(-0.76, -0.17), (0.76, -0.17), (0.76, 0.17), (-0.76, 0.17)], WHITE)


def priority_core(canvas: Canvas) -> None:
    """The yellow heart of the priority-road sign."""
    canvas.polygon(diamond_outline() * 0.66, BLACK)
    canvas.polygon(diamond_outline() * 0.63, YELLOW)


def exclamation(canvas: Canvas) -> None:
    """An exclamation mark."""
    canvas.polygon([(-0.095, -0.34), (0.095, -0.34), (0.05, 0.32), (-0.05, 0.32)], BLACK)
    canvas.disc((0.0, -0.34), 0.095, BLACK)
    canvas.disc((0.0, 0.50), 0.10, BLACK)


def bumps(canvas: Canvas) -> None:
    """Two humps on a base line."""
    x = np.linspace(-0.57, 0.57, 77)
    top = 0.48 - 0.26 * np.clip(np.sin(np.pi * (np.abs(x) - 0.04) / 0.46), 0.0, None) ** 1.5 * (np.abs(x) < 0.5)
    canvas.polygon(path(np.stack([x, top], axis=1), (0.57, 0.57), (-0.57, 0.57)), BLACK)


def traffic_lights(canvas: Canvas) -> None:
    """A red, a yellow and a green light."""
    for y, colour in ((-0.19, RED), (0.14, YELLOW), (0.47, GREEN)):
        canvas.disc((0.0, y), 0.145, colour)


def snowflake(canvas: Canvas) -> None:
    """A six-armed snow crystal."""
    centre = (0.0, 0.24)
    for arm in range(6):
        turn = 60.0 * arm + 30.0
        canvas.stroke(placed([(0, 0), (0.36, 0)], turn_deg=turn, shift=centre), 0.07, BLACK)
        canvas.stroke(placed([(0.35, -0.13), (0.21, 0.0), (0.35, 0.13)], turn_deg=turn, shift=centre), 0.06, BLACK)
