"""What lies behind a sign: procedural sky, foliage, branches, houses, road and dusk, as textures."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

TEXTURE_SIZE = 192
VARIANTS = 10

FloatImage: TypeAlias = NDArray[np.float32]
_Maker: TypeAlias = Callable[[np.random.Generator], FloatImage]


def fractal_noise(
    rng: np.random.Generator, size: int, coarsest: int = 3, octaves: int = 5, decay: float = 0.6
) -> FloatImage:
    """Smooth random relief, (size, size) in [0, 1]; `coarsest` cells a side in the first octave."""
    total = np.zeros((size, size), dtype=np.float32)
    for octave in range(octaves):
        cells = min(size, coarsest * 2**octave + 1)
        grid = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
        total += decay**octave * np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC))
    total -= total.min()
    total /= total.max()
    return total


def _mixed(low: NDArray[np.float64], high: NDArray[np.float64], share: FloatImage) -> FloatImage:
    return (low + (high - low) * share[..., None]).astype(np.float32)


def _sky(rng: np.random.Generator) -> FloatImage:
    height = np.linspace(0, 1, TEXTURE_SIZE, dtype=np.float32)[:, None]
    blue = np.array([rng.uniform(70, 150), rng.uniform(120, 185), rng.uniform(190, 245)])
    pale = np.array([rng.uniform(185, 235), rng.uniform(200, 240), rng.uniform(220, 250)])
    clouds = fractal_noise(rng, TEXTURE_SIZE, 2, 4) * rng.uniform(0.2, 1.0)
    return _mixed(blue, pale, np.clip(height * rng.uniform(0.2, 0.8) + clouds, 0, 1))


def _foliage(rng: np.random.Generator) -> FloatImage:
    relief = fractal_noise(rng, TEXTURE_SIZE, 6, 6, 1.0)
    season = rng.random()
    dark = np.array([18.0, 26.0, 12.0]) + rng.uniform(-8, 14, 3)
    light = np.array([95.0, 130.0, 50.0]) if season < 0.55 else np.array([185.0, 135.0, 45.0])
    image = _mixed(dark, light + rng.uniform(-25, 25, 3), np.clip(relief * 2.4 - 0.8, 0, 1))
    holes = np.clip((fractal_noise(rng, TEXTURE_SIZE, 9, 4, 0.8) - rng.uniform(0.6, 0.8)) * 9, 0, 1)
    image += (np.float32(235) - image) * holes[..., None]
    return image


def _branches(rng: np.random.Generator) -> FloatImage:
    image = Image.fromarray(np.clip(_sky(rng) * rng.uniform(0.9, 1.1), 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    brown = rng.uniform(20, 70)
    colour = (int(brown), int(brown * 0.9), int(brown * 0.8))
    for _ in range(int(rng.integers(14, 50))):
        position, heading = rng.uniform(0, TEXTURE_SIZE, 2), rng.uniform(0, 2 * np.pi)
        line = [tuple(position)]
        for _ in range(7):
            heading += rng.normal(0, 0.35)
            position = position + rng.uniform(10, 26) * np.array([np.cos(heading), np.sin(heading)])
            line.append(tuple(position))
        draw.line(line, fill=colour, width=int(rng.choice([1, 1, 2, 2, 3, 5])))
    return np.asarray(image, dtype=np.float32)


def _house(rng: np.random.Generator) -> FloatImage:
    walls = [(176, 160, 138), (150, 92, 74), (200, 196, 186), (128, 128, 130), (190, 168, 120), (96, 88, 84)]
    wall = np.array(walls[rng.integers(len(walls))]) + rng.uniform(-18, 18)
    image = Image.new("RGB", (TEXTURE_SIZE, TEXTURE_SIZE), tuple(int(v) for v in wall))
    draw = ImageDraw.Draw(image)
    pitch_x, pitch_y = rng.integers(26, 60), rng.integers(32, 70)
    glass = int(rng.uniform(25, 120))
    frame = tuple(int(v) for v in np.clip(wall + rng.choice([-60, 60]), 0, 255))
    for left in range(int(rng.integers(0, 16)), TEXTURE_SIZE, int(pitch_x)):
        for top in range(int(rng.integers(0, 20)), TEXTURE_SIZE, int(pitch_y)):
            box = (left, top, left + int(pitch_x * 0.5), top + int(pitch_y * 0.6))
            draw.rectangle(box, fill=(glass, glass, glass + 12), outline=frame, width=2)
    if rng.random() < 0.5:
        roof = int(rng.integers(30, 90))
        draw.polygon(
            [(0, 0), (TEXTURE_SIZE, 0), (TEXTURE_SIZE, roof), (0, roof + int(rng.integers(-30, 60)))],
            fill=(190, 205, 225),
        )
    grain = fractal_noise(rng, TEXTURE_SIZE, 6, 5, 0.9) - 0.5
    return np.asarray(image, dtype=np.float32) + grain[..., None] * rng.uniform(10, 50)


def _road(rng: np.random.Generator) -> FloatImage:
    height = np.linspace(0, 1, TEXTURE_SIZE, dtype=np.float32)[:, None]
    horizon = rng.uniform(0.25, 0.7)
    ragged = height + (fractal_noise(rng, TEXTURE_SIZE, 4, 4)[:1] - 0.5) * rng.uniform(0.1, 0.5)
    asphalt = _mixed(
        np.array([70.0, 70, 74]), np.array([120.0, 120, 122]), fractal_noise(rng, TEXTURE_SIZE, 10, 5, 0.9)
    )
    above = _foliage(rng) if rng.random() < 0.6 else _house(rng)
    image = np.where((ragged > horizon)[..., None], asphalt, above)
    return np.where((ragged < horizon * rng.uniform(0.2, 0.8))[..., None], _sky(rng), image)


def _dusk(rng: np.random.Generator) -> FloatImage:
    relief = fractal_noise(rng, TEXTURE_SIZE, 2, 3)
    low = rng.uniform(8, 60) + rng.uniform(-7, 7, 3)
    return _mixed(low, low + rng.uniform(5, 60), relief)


_MAKERS: tuple[_Maker, ...] = (_sky, _foliage, _foliage, _branches, _house, _road, _dusk)
TEXTURES = len(_MAKERS) * VARIANTS


@lru_cache(maxsize=TEXTURES)
def background_texture(index: int) -> Image.Image:
    """The texture `index` in [0, TEXTURES), RGB, TEXTURE_SIZE pixels a side; shared, so never draw on it."""
    rng = np.random.default_rng((20110, index))
    image = _MAKERS[index % len(_MAKERS)](rng)
    if rng.random() < 0.5:
        image = image[:, ::-1]
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


@lru_cache(maxsize=16)
def relief_texture(index: int) -> Image.Image:
    """Grey relief for dirt, fading and dappled shade, mode L, 64 pixels a side; shared, so never draw on it."""
    rng = np.random.default_rng((20111, index))
    relief = fractal_noise(rng, 64, 2, 4, 0.7)
    return Image.fromarray((relief * 255).astype(np.uint8))
