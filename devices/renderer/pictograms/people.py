"""People and animals in warning triangles."""

from __future__ import annotations

from numpy.typing import ArrayLike

from devices.renderer.canvas import Canvas
from devices.renderer.geometry import placed
from devices.renderer.plates import BLACK


def _limb(canvas: Canvas, line: ArrayLike, width: float) -> None:
    canvas.stroke(line, width, BLACK, round_ends=True)


def pedestrian(canvas: Canvas) -> None:
    """A walking person."""
    canvas.disc((0.0, -0.33), 0.095, BLACK)
    _limb(canvas, [(0.0, -0.10), (0.0, 0.12)], 0.23)
    _limb(canvas, [(-0.05, 0.12), (-0.10, 0.36), (-0.24, 0.59)], 0.115)
    _limb(canvas, [(0.05, 0.12), (0.15, 0.34), (0.20, 0.59)], 0.115)
    _limb(canvas, [(-0.09, -0.14), (-0.22, 0.04), (-0.26, 0.18)], 0.08)
    _limb(canvas, [(0.09, -0.14), (0.22, 0.02), (0.30, 0.12)], 0.08)


def _running_child(canvas: Canvas, scale: float, shift: tuple[float, float]) -> None:
    def put(points: ArrayLike) -> ArrayLike:
        return placed(points, scale=scale, shift=shift)

    x, y = placed([(0.03, -0.62)], scale=scale, shift=shift)[0]
    canvas.disc((float(x), float(y)), 0.16 * scale, BLACK)
    _limb(canvas, put([(0.01, -0.28), (-0.01, 0.02)]), 0.31 * scale)
    _limb(canvas, put([(-0.06, 0.08), (-0.24, 0.36), (-0.44, 0.66)]), 0.15 * scale)
    _limb(canvas, put([(0.05, 0.08), (0.30, 0.30), (0.22, 0.68)]), 0.15 * scale)
    _limb(canvas, put([(0.10, -0.36), (0.32, -0.10), (0.48, -0.14)]), 0.12 * scale)
    _limb(canvas, put([(-0.10, -0.36), (-0.34, -0.16), (-0.46, 0.06)]), 0.12 * scale)


def children(canvas: Canvas) -> None:
    """Two running children, the smaller one in front."""
    _running_child(canvas, 0.58, (0.17, 0.22))
    _running_child(canvas, 0.46, (-0.28, 0.30))


def road_worker(canvas: Canvas) -> None:
    """A worker who shovels at a heap."""
    canvas.disc((-0.04, -0.30), 0.09, BLACK)
    canvas.polygon([(-0.10, -0.20), (0.06, -0.14), (-0.14, 0.22), (-0.30, 0.14)], BLACK)
    _limb(canvas, [(-0.24, 0.16), (-0.14, 0.38), (-0.20, 0.59)], 0.10)
    _limb(canvas, [(-0.24, 0.16), (-0.36, 0.38), (-0.49, 0.59)], 0.10)
    _limb(canvas, [(0.0, -0.12), (0.02, 0.10), (0.12, 0.18)], 0.08)
    canvas.stroke([(-0.16, 0.00), (0.29, 0.38)], 0.05, BLACK)
    canvas.polygon([(0.10, 0.61), (0.30, 0.34), (0.39, 0.31), (0.54, 0.61)], BLACK)


def deer(canvas: Canvas) -> None:
    """A deer that leaps to the left."""

    def put(points: ArrayLike) -> ArrayLike:
        return placed(points, scale=0.94, shift=(0.045, 0.04))

    back = [(-0.22, 0.04), (-0.10, 0.06), (0.16, 0.18), (0.32, 0.26)]
    belly = [(0.36, 0.40), (0.24, 0.44), (0.02, 0.36), (-0.18, 0.30)]
    canvas.polygon(put(back + belly), BLACK)
    canvas.polygon(put([(-0.22, 0.26), (-0.27, -0.06), (-0.16, -0.12), (-0.06, 0.12)]), BLACK)
    canvas.polygon(put([(-0.16, -0.13), (-0.24, -0.16), (-0.41, -0.02), (-0.37, 0.03), (-0.24, 0.01)]), BLACK)
    for line, width in (
        ([(-0.19, -0.12), (-0.15, -0.25), (-0.07, -0.33)], 0.045),
        ([(-0.15, -0.24), (-0.20, -0.34)], 0.04),
        ([(-0.16, 0.26), (-0.36, 0.28), (-0.46, 0.40)], 0.065),
        ([(-0.12, 0.28), (-0.30, 0.42), (-0.26, 0.54)], 0.065),
        ([(0.28, 0.36), (0.36, 0.48), (0.52, 0.58)], 0.075),
        ([(0.22, 0.38), (0.23, 0.51), (0.38, 0.61)], 0.075),
        ([(0.33, 0.27), (0.42, 0.24)], 0.06),
    ):
        _limb(canvas, put(line), width)
