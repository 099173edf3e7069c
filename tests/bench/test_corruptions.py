"""Noise and brightness against their definitions, and the source that shows them beside clean frames."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from bench.corrupted import Corrupted
from bench.corruptions import Brightness, GaussianNoise
from bench.registry import make
from bench.spec import SpecError
from devices.sources.base import Frame

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("scale", "delta"), [("cifar", (0.05, 0.1, 0.15, 0.2, 0.3)), ("tiny-imagenet", (0.1, 0.2, 0.3, 0.4, 0.5))]
)
def test_brightness_is_that_of_hsv(scale: str, delta: tuple[float, ...]) -> None:
    pixels = np.concatenate((PIXELS.reshape(-1, 3), [[0, 0, 0], [255, 255, 255], [255, 0, 0]])).astype(np.uint8)
    for severity, added in enumerate(delta, 1):
        expected = []
        for pixel in pixels:
            hue, saturation, value = colorsys.rgb_to_hsv(*(pixel / 255))
            expected.append(colorsys.hsv_to_rgb(hue, saturation, min(value + added, 1)))
        found = Brightness(severity, scale).corrupt(pixels[None], np.random.default_rng(0))  # type: ignore[arg-type]
        # Cut off, not rounded; the last digits of a float may fall on either side.
        assert np.abs(found[0] - np.array(expected) * 255 + 0.5).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(("scale", "deviation"), [("cifar", 0.10), ("tiny-imagenet", 0.18)])
def test_noise_is_as_wide_as_the_table_says(scale: str, deviation: float) -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    noise = GaussianNoise(5, scale).corrupt(grey, np.random.default_rng(0)) / 255 - 127.5 / 255  # type: ignore[arg-type]
    assert noise.std() == pytest.approx(deviation, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.003)
    # Every channel has its own.
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.03


def test_the_severities_grow() -> None:
    for corruption in (GaussianNoise, Brightness):
        for scale in ("cifar", "tiny-imagenet"):
            amounts = [corruption(severity, scale).amount for severity in range(1, 6)]
            assert amounts == sorted(set(amounts))


@dataclass
class Frames:
    count: int = 6
    task: str | None = "toy"

    @property
    def length(self) -> int:
        return self.count

    def frames(self) -> Iterator[Frame]:
        for index in range(self.count):
            yield Frame(PIXELS, f"frame {index}", index, roi=(0, 0, 4, 4))

    def close(self) -> None:
        pass


def test_each_frame_is_shown_twice_in_an_order_that_alternates() -> None:
    source = Corrupted(Frames(), GaussianNoise(3), seed=4)
    frames = list(source.frames())
    assert (source.length, source.task) == (len(frames), "toy")
    assert [frame.twin for frame in frames[:4]] == ["clean", "corrupted", "corrupted", "clean"]
    assert [frame.pair for frame in frames] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert all(frame.label == frame.pair and frame.roi == (0, 0, 4, 4) for frame in frames)
    corrupted = {frame.image.tobytes() for frame in frames if frame.twin == "corrupted"}
    assert len(corrupted) == 6
    again = Corrupted(Frames(), GaussianNoise(3), seed=4).frames()
    assert corrupted == {frame.image.tobytes() for frame in again if frame.twin == "corrupted"}
    assert all((frame.image == PIXELS).all() for frame in frames if frame.twin == "clean")


def test_specs() -> None:
    assert make("corruptions", "gaussian:5,scale=tiny-imagenet") == (
        GaussianNoise(5, "tiny-imagenet"),
        "gaussian:5,scale=tiny-imagenet",
    )
    with pytest.raises(SpecError, match="severity=6 is none: choose 1 to 5, for example severity=3"):
        make("corruptions", "brightness:6")
