"""One picture: a sign on its post before a background, worn and lit, seen by the camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from devices.renderer.background import background_texture, relief_texture
from devices.renderer.camera import (
    FloatImage,
    Lens,
    Light,
    Sensor,
    grey_of,
    on_sensor,
    shading,
    through_lens,
    with_haze,
)
from devices.renderer.canvas import Canvas
from devices.renderer.covering import COVER_SIZE, Cover, cover_texture
from devices.renderer.pose import Framing, texture_coefficients
from devices.renderer.signs import draw_sign

_SIGN_SIZES = (16, 24, 32, 48, 64, 96, 128)
_RELIEF_SIZE = 64
_PANEL_SIZE = 64


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What part of which texture lies behind: `box` is left, top, right, bottom in texture pixels."""

    texture: int
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Post:
    """The post: its middle and half width in sign units, and its grey in display units."""

    centre: float
    half_width: float
    grey: float


@dataclass(frozen=True, slots=True)
class Wear:
    """Paint and age: `paint` gains about 1, `fading` and `dirt` in [0, 1], and which relief spreads the dirt."""

    paint: tuple[float, float, float]
    fading: float
    dirt: float
    relief: int


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What hangs at the same post: a sign (class 0..42) or a white panel (None), and the middle's height."""

    class_id: int | None
    centre_y: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that one picture shows, noise excepted."""

    class_id: int
    framing: Framing
    backdrop: Backdrop
    post: Post | None
    neighbour: Neighbour | None
    wear: Wear
    cover: Cover | None
    light: Light
    lens: Lens
    sensor: Sensor


def photograph(scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The scene as the camera sees it, uint8 (height, width, 3); `rng` gives the sensor's noise."""
    framing, light = scene.framing, scene.light
    image = _background(scene)
    texture = _sign_texture(scene.class_id, _level(framing))
    sign = _warped(texture, framing, texture_coefficients(framing.homography, texture.width))
    cover = _worn_and_covered(sign, scene)
    image *= 1.0 - sign[..., 3:]
    image += sign[..., :3] * light.on_sign()
    if cover is not None:
        image *= 1.0 - cover[..., 3:]
        image += cover[..., :3] * light.on_sign()
    image *= shading(light, framing.height, framing.width)
    luminance = with_haze(through_lens(image * image, scene.lens), light)
    return on_sensor(luminance, scene.sensor, rng)


def _background(scene: Scene) -> FloatImage:
    framing, light = scene.framing, scene.light
    picture = background_texture(scene.backdrop.texture).resize(
        (framing.width, framing.height), Image.Resampling.BILINEAR, box=scene.backdrop.box
    )
    image = np.array(picture, dtype=np.float32)
    image *= light.on_background() * np.float32(1 / 255)
    if scene.post is not None:
        _draw_post(image, scene.post, framing, light)
    if scene.neighbour is not None:
        texture = (
            _panel_texture()
            if scene.neighbour.class_id is None
            else _sign_texture(scene.neighbour.class_id, _level(framing))
        )
        offset = (0.0, scene.neighbour.centre_y)
        layer = _warped(texture, framing, texture_coefficients(framing.homography, texture.width, offset))
        image *= 1.0 - layer[..., 3:]
        image += layer[..., :3] * light.on_sign()
    return image


def _draw_post(image: FloatImage, post: Post, framing: Framing, light: Light) -> None:
    ends = framing.homography @ np.array([[post.centre, post.centre], [-1.5, 1.5], [1.0, 1.0]])
    (x_top, x_bottom), (y_top, y_bottom) = ends[:2] / ends[2]
    scale = abs(y_bottom - y_top) / 3.0
    y = np.arange(framing.height, dtype=np.float32)[:, None] + 0.5
    middle = x_top + (x_bottom - x_top) * (y - y_top) / (y_bottom - y_top)
    across = np.arange(framing.width, dtype=np.float32) + 0.5 - middle
    half_width = max(0.5, post.half_width * scale)
    share = np.clip(half_width - np.abs(across) + 0.5, 0, 1).astype(np.float32)[..., None]
    # A round post is lighter on one side.
    roundness = (1.0 + 0.35 * np.clip(across / half_width, -1, 1)).astype(np.float32)[..., None]
    colour = np.float32(post.grey / 2) * (light.on_sign() + light.on_background())
    image += share * (colour * roundness - image)


def _worn_and_covered(sign: FloatImage, scene: Scene) -> FloatImage | None:
    """Fade and soil the warped sign in place; return the covering's layer if there is one."""
    framing, wear = scene.framing, scene.wear
    alpha = sign[..., 3:]
    sign[..., :3] *= np.array(wear.paint, dtype=np.float32)
    if wear.fading > 0.0:
        colour = sign[..., :3]
        grey = grey_of(colour)
        target = np.float32(0.6) * grey + np.float32(0.27) * alpha
        colour += np.float32(wear.fading) * (target - colour)
    if wear.dirt > 0.0:
        relief = relief_texture(wear.relief)
        coefficients = texture_coefficients(framing.homography, _RELIEF_SIZE, scale=1.05)
        spread = _warped(relief, framing, coefficients)
        sign[..., :3] *= 1.0 - np.float32(wear.dirt) * np.clip(spread * 2.2 - 0.8, 0, 1)[..., None]
    if scene.cover is None:
        return None
    cover = scene.cover
    texture = cover_texture(cover.kind, cover.variant)
    coefficients = texture_coefficients(framing.homography, COVER_SIZE, cover.centre, cover.reach)
    layer = _warped(texture, framing, coefficients)
    if cover.on_plate:
        layer *= alpha
    return layer


def _warped(texture: Image.Image, framing: Framing, coefficients: tuple[float, ...]) -> FloatImage:
    picture = texture.transform(
        (framing.width, framing.height), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
    )
    layer = np.array(picture, dtype=np.float32)
    layer *= np.float32(1 / 255)
    return layer


def _level(framing: Framing) -> int:
    """The smallest prepared sign size that is not enlarged: bilinear sampling then skips no texture pixel."""
    x1, y1, x2, y2 = framing.roi
    return next((size for size in _SIGN_SIZES if size >= max(x2 - x1, y2 - y1)), _SIGN_SIZES[-1])


@lru_cache(maxsize=512)
def _sign_texture(class_id: int, size: int) -> Image.Image:
    whole = Image.fromarray(draw_sign(class_id, _SIGN_SIZES[-1])).convert("RGBa")
    return whole.resize((size, size), Image.Resampling.BOX if _SIGN_SIZES[-1] % size == 0 else Image.Resampling.HAMMING)


@lru_cache(maxsize=1)
def _panel_texture() -> Image.Image:
    canvas = Canvas(_PANEL_SIZE)
    for reach, grey in ((0.97, 235), (0.93, 25), (0.88, 238)):
        canvas.polygon(np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (reach, reach - 0.25), (grey, grey, grey))
    for y in (-0.3, 0.05, 0.4):
        canvas.stroke([(-0.65, y), (0.6 - 0.4 * abs(y), y)], 0.14, (25, 25, 25))
    return Image.fromarray(canvas.pixels()).convert("RGBa")
