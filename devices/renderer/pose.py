"""Where a sign stands in the picture: turned in space, projected, framed with a border."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.renderer.geometry import Points


@dataclass(frozen=True, slots=True)
class Pose:
    """The turn of a sign towards the camera, in radians, and the camera's distance in half sign widths."""

    yaw: float
    pitch: float
    roll: float
    distance: float


@dataclass(frozen=True, slots=True)
class Framing:
    """A picture's size and the map from sign units [-1, 1] to its pixels.

    `homography` is (3, 3): (x, y, w) = homography @ (u, v, 1), pixels are x / w and y / w.
    """

    width: int
    height: int
    roi: tuple[int, int, int, int]
    homography: NDArray[np.float64]


def rotation(pose: Pose) -> NDArray[np.float64]:
    """Rotation matrix, (3, 3): roll in the plane first, then yaw, then pitch."""
    cos_yaw, sin_yaw = np.cos(pose.yaw), np.sin(pose.yaw)
    cos_pitch, sin_pitch = np.cos(pose.pitch), np.sin(pose.pitch)
    cos_roll, sin_roll = np.cos(pose.roll), np.sin(pose.roll)
    yaw = np.array([[cos_yaw, 0, sin_yaw], [0, 1, 0], [-sin_yaw, 0, cos_yaw]])
    pitch = np.array([[1, 0, 0], [0, cos_pitch, -sin_pitch], [0, sin_pitch, cos_pitch]])
    roll = np.array([[cos_roll, -sin_roll, 0], [sin_roll, cos_roll, 0], [0, 0, 1]])
    return np.asarray(pitch @ yaw @ roll, dtype=np.float64)


def frame_sign(
    outline: Points, pose: Pose, target_size: float, borders: tuple[float, float, float, float], limits: tuple[int, int]
) -> Framing:
    """Project the outline and frame it.

    Args:
        outline: the plate's outline, (n, 2) in [-1, 1].
        pose: how the sign is turned.
        target_size: longer side of the picture in pixels.
        borders: left, top, right, bottom border, each as a share of the sign's longer side.
        limits: smallest and largest allowed picture side in pixels.
    """
    turned = rotation(pose)
    projection = np.array([turned[0, [0, 1]], turned[1, [0, 1]], turned[2, [0, 1]] / pose.distance])
    projected = outline @ projection.T
    flat = projected[:, :2] / (1.0 + projected[:, 2:])
    low, high = flat.min(axis=0), flat.max(axis=0)
    extent = high - low
    left, top, right, bottom = borders
    longer = float(extent.max())
    scale = target_size / max(extent[0] + (left + right) * longer, extent[1] + (top + bottom) * longer)
    width = int(np.clip(round(scale * (extent[0] + (left + right) * longer)), *limits))
    height = int(np.clip(round(scale * (extent[1] + (top + bottom) * longer)), *limits))
    # The picture is whole pixels: what rounding and clipping changed goes evenly to both borders.
    shift_x = (width - scale * (extent[0] + (right - left) * longer)) / 2 - scale * low[0]
    shift_y = (height - scale * (extent[1] + (bottom - top) * longer)) / 2 - scale * low[1]
    third = np.append(projection[2], 1.0)
    homography = np.stack(
        [
            np.append(scale * projection[0], 0.0) + shift_x * third,
            np.append(scale * projection[1], 0.0) + shift_y * third,
            third,
        ]
    )
    x1, y1 = np.floor(scale * low + (shift_x, shift_y) + 0.5).astype(int)
    x2, y2 = np.floor(scale * high + (shift_x, shift_y) + 0.5).astype(int)
    roi = (max(0, int(x1)), max(0, int(y1)), min(width, int(x2)), min(height, int(y2)))
    return Framing(width, height, roi, homography)


def texture_coefficients(
    homography: NDArray[np.float64], texture_size: int, offset: tuple[float, float] = (0.0, 0.0), scale: float = 1.0
) -> tuple[float, ...]:
    """The eight numbers of Pillow's PERSPECTIVE transform from picture pixels to texture pixels.

    The texture covers sign units offset +- scale in both axes.
    """
    half = texture_size / 2
    to_texture = np.array(
        [
            [half / scale, 0.0, half * (1.0 - offset[0] / scale)],
            [0.0, half / scale, half * (1.0 - offset[1] / scale)],
            [0.0, 0.0, 1.0],
        ]
    )
    matrix = to_texture @ np.linalg.inv(homography)
    return tuple((matrix / matrix[2, 2]).ravel()[:8].tolist())
