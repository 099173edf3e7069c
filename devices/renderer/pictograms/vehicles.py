"""Cars, trucks and a bicycle."""

from __future__ import annotations

import numpy as np

from devices.renderer.canvas import Canvas, Colour
from devices.renderer.geometry import Points, placed
from devices.renderer.plates import BLACK, GREY, RED, WHITE, end_stripes


def _car_from_behind(
    canvas: Canvas,
    centre: tuple[float, float],
    scale: float,
    colour: Colour,
    *,
    turn_deg: float = 0.0,
    ground: Colour = WHITE,
) -> None:
    """A car seen from behind: 2 x 1.2 units times `scale`."""

    def put(points: list[tuple[float, float]] | Points) -> Points:
        return placed(points, scale=scale, turn_deg=turn_deg, shift=centre)

    canvas.polygon(put([(-0.58, -0.62), (0.58, -0.62), (0.80, -0.05), (-0.80, -0.05)]), colour)
    canvas.polygon(put([(-0.46, -0.48), (0.46, -0.48), (0.58, -0.10), (-0.58, -0.10)]), ground)
    canvas.polygon(put([(-0.88, -0.10), (0.88, -0.10), (1.0, 0.02), (1.0, 0.36), (-1.0, 0.36), (-1.0, 0.02)]), colour)
    canvas.polygon(put([(-0.92, 0.30), (-0.56, 0.30), (-0.56, 0.62), (-0.92, 0.62)]), colour)
    canvas.polygon(put([(0.92, 0.30), (0.56, 0.30), (0.56, 0.62), (0.92, 0.62)]), colour)


def _truck_from_behind(canvas: Canvas, left: float, colour: Colour) -> None:
    """A truck seen from behind, 0.5 wide; a tall box on two wheels."""
    canvas.polygon([(left, -0.34), (left + 0.50, -0.34), (left + 0.50, 0.22), (left, 0.22)], colour)
    for x in (left + 0.03, left + 0.34):
        canvas.polygon([(x, 0.18), (x + 0.13, 0.18), (x + 0.13, 0.34), (x, 0.34)], colour)


def no_passing(canvas: Canvas) -> None:
    """A red car left of a black one."""
    _car_from_behind(canvas, (-0.33, 0.02), 0.285, RED)
    _car_from_behind(canvas, (0.33, 0.02), 0.285, BLACK)


def no_passing_trucks(canvas: Canvas) -> None:
    """A red truck left of a black car."""
    _truck_from_behind(canvas, -0.58, RED)
    _car_from_behind(canvas, (0.31, 0.17), 0.275, BLACK)


def end_of_no_passing(canvas: Canvas) -> None:
    """Two grey cars, struck out."""
    _car_from_behind(canvas, (-0.41, 0.02), 0.37, GREY)
    _car_from_behind(canvas, (0.41, 0.02), 0.37, GREY)
    end_stripes(canvas)


def end_of_no_passing_trucks(canvas: Canvas) -> None:
    """A grey truck and a grey car, struck out."""
    _truck_from_behind(canvas, -0.66, GREY)
    _car_from_behind(canvas, (0.37, 0.15), 0.34, GREY)
    end_stripes(canvas)


def truck(canvas: Canvas) -> None:
    """A truck from the side, its cab on the left."""
    canvas.polygon([(-0.16, -0.28), (0.56, -0.28), (0.56, 0.20), (-0.16, 0.20)], BLACK)
    canvas.polygon([(-0.46, -0.14), (-0.20, -0.14), (-0.20, 0.22), (-0.58, 0.22), (-0.58, 0.06)], BLACK)
    canvas.polygon([(-0.43, -0.09), (-0.27, -0.09), (-0.27, 0.04), (-0.51, 0.04)], WHITE)
    canvas.polygon([(-0.58, 0.14), (0.56, 0.14), (0.56, 0.24), (-0.58, 0.24)], BLACK)
    for x in (-0.38, 0.34):
        canvas.disc((x, 0.25), 0.145, WHITE)
        canvas.disc((x, 0.25), 0.11, BLACK)


def skidding_car(canvas: Canvas) -> None:
    """A tilted car from behind with two winding tracks below."""
    _car_from_behind(canvas, (0.0, 0.02), 0.30, BLACK, turn_deg=12.0)
    along = np.linspace(0.0, 1.0, 25)
    track = np.stack([0.075 * np.sin(2.2 * np.pi * along) - 0.10 * along, 0.24 + 0.37 * along], axis=1)
    for x in (-0.17, 0.22):
        canvas.stroke(track + np.array([x, 0.0]), 0.07, BLACK)


def bicycle(canvas: Canvas) -> None:
    """A bicycle from the side."""
    rear, front, crank = (-0.31, 0.41), (0.31, 0.41), (-0.04, 0.41)
    saddle, head = (-0.14, 0.11), (0.20, 0.09)
    width = 0.06
    canvas.ring(rear, 0.205, width, BLACK)
    canvas.ring(front, 0.205, width, BLACK)
    for line in (
        [rear, crank, saddle, rear],
        [saddle, head, crank],
        [front, head, (0.16, -0.06)],
    ):
        canvas.stroke(line, width, BLACK, round_ends=True)
    canvas.stroke([saddle, (-0.17, 0.02)], width, BLACK)
    canvas.stroke([(-0.26, 0.01), (-0.08, 0.01)], 0.075, BLACK, round_ends=True)
    canvas.stroke([(0.16, -0.06), (0.29, -0.08), (0.31, -0.01)], width, BLACK, round_ends=True)
