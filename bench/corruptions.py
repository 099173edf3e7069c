"""What weather and sensors do to frames, at the five severities of the corruption benchmarks.

Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations" (ICLR 2019),
as their code makes CIFAR-10-C and Tiny-ImageNet-C: computed in [0, 1], clipped, and cut off to 8 bits, not rounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Scale = Literal["cifar", "tiny-imagenet"]
Severities = tuple[float, float, float, float, float]


class Corruption(Protocol):
    """A dataclass of its options."""

    def corrupt(self, image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
        """The image (height, width, 3) uint8 RGB as it would have come."""


@dataclass(frozen=True)
class _Severe:
    """A corruption whose strength a table gives."""

    amounts: ClassVar[dict[Scale, Severities]]

    severity: int = field(default=3, metadata={"help": "how strong, 1 to 5", "example": "severity=3"})
    scale: Scale = field(
        default="cifar", metadata={"help": "whose strengths: those of 32 px or 64 px images", "example": "scale=cifar"}
    )

    def __post_init__(self) -> None:
        if not 1 <= self.severity <= 5:
            raise ValueError(f"severity={self.severity} is none: choose 1 to 5, for example severity=3")

    @property
    def amount(self) -> float:
        return self.amounts[self.scale][self.severity - 1]


@dataclass(frozen=True)
class GaussianNoise(_Severe):
    """Noise of its own on every pixel and channel: `gaussian:3`, `gaussian:severity=5,scale=tiny-imagenet`."""

    amounts: ClassVar[dict[Scale, Severities]] = {
        "cifar": (0.04, 0.06, 0.08, 0.09, 0.10),
        "tiny-imagenet": (0.04, 0.08, 0.12, 0.15, 0.18),
    }

    def corrupt(self, image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
        return _as_frame(image / 255 + generator.normal(0, self.amount, image.shape))


@dataclass(frozen=True)
class Brightness(_Severe):
    """More light, by the value of HSV, hue and saturation as they were: `brightness:3`."""

    amounts: ClassVar[dict[Scale, Severities]] = {
        "cifar": (0.05, 0.10, 0.15, 0.20, 0.30),
        "tiny-imagenet": (0.10, 0.20, 0.30, 0.40, 0.50),
    }

    def corrupt(self, image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
        pixels = image / 255
        # HSV's value is the largest of the channels, and with hue and saturation kept the others grow in proportion.
        value = pixels.max(axis=2, keepdims=True)
        brighter = np.minimum(value + self.amount, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return _as_frame(np.where(value > 0, pixels * (brighter / value), brighter))


def _as_frame(pixels: NDArray[np.float64]) -> NDArray[np.uint8]:
    # What is whole but for the last digits of a float stays whole.
    frame: NDArray[np.uint8] = (np.clip(pixels, 0, 1) * 255 + 1e-9).astype(np.uint8)
    return frame
