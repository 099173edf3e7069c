"""The perturbations an attack may choose from: a ball about each image, cut to [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Norm = Literal["linf", "l2"]

# Float32 holds pixels to 6e-8; sums of squares over an image lose a digit more.
TOLERANCE = 1e-6


class OutsideError(RuntimeError):
    """An attack left its ball, or the range of pixels: its examples must not be counted."""


@dataclass(frozen=True, slots=True)
class Ball:
    """All images within `radius` of a centre, in the largest (linf) or the Euclidean (l2) distance over its pixels.

    Images and centres are (n, 3, h, w) in [0, 1]; directions of steps have the same shape and any length.
    """

    norm: Norm
    radius: float

    def project(self, images: Tensor, centres: Tensor) -> Tensor:
        """The nearest perturbation in the ball, then the nearest pixels in [0, 1], which leads no way out of it."""
        return (centres + self.limit(images - centres)).clamp(0.0, 1.0)

    def limit(self, change: Tensor) -> Tensor:
        """The nearest change (n, 3, h, w) of at most the radius."""
        if self.norm == "linf":
            return change.clamp(-self.radius, self.radius)
        lengths = euclidean(change)
        return change * (self.radius / lengths.clamp(min=torch.finfo(change.dtype).tiny)).clamp(max=1.0)

    def start(self, centres: Tensor, generator: torch.Generator) -> Tensor:
        """Somewhere in the ball: uniform (linf), or in a uniform direction at a uniform distance (l2)."""
        change = torch.empty_like(centres)
        if self.norm == "linf":
            change.uniform_(-self.radius, self.radius, generator=generator)
        else:
            change.normal_(generator=generator)
            distance = torch.zeros(len(centres), 1, 1, 1).uniform_(0, 1, generator=generator)
            change = change * (distance / euclidean(change) * self.radius)
        return (centres + change).clamp(0.0, 1.0)

    def edge(self, centres: Tensor, generator: torch.Generator) -> Tensor:
        """At the rim of the ball: a uniform (linf) or normal (l2) change, stretched until it reaches it."""
        if self.norm == "linf":
            change = 2 * torch.rand(centres.shape, generator=generator) - 1
            length = change.abs().amax((1, 2, 3), keepdim=True)
        else:
            change = torch.randn(centres.shape, generator=generator)
            length = euclidean(change)
        return (centres + self.radius * change / length).clamp(0.0, 1.0)

    def steepest(self, gradients: Tensor) -> Tensor:
        """The direction of length 1 in which a loss rises fastest; zero where the gradient is zero."""
        if self.norm == "linf":
            return gradients.sign()
        return gradients / (euclidean(gradients) + 1e-10)

    def distances(self, images: Tensor, centres: Tensor) -> Tensor:
        """How far each image lies from its centre, (n,)."""
        change = images - centres
        return change.abs().amax((1, 2, 3)) if self.norm == "linf" else euclidean(change).flatten()

    def frames(self, images: Tensor, centres: Tensor) -> Tensor:
        """The 8-bit frames (n, 3, h, w) uint8 nearest to `images` that lie in the ball about the 8-bit `centres`.

        Where rounding would lead out of an l2 ball, the pixels that were nearly rounded the other way go towards the
        centre instead, until the frame is inside.
        """
        middle = (centres * 255.0).round()
        change = images * 255.0 - middle
        radius = self.radius * 255.0 + 1e-4
        if self.norm == "linf":
            change = change.round().clamp(-int(radius), int(radius))
        else:
            change = _rounded_inside(change.flatten(1).double(), radius).to(images.dtype).view_as(images)
        return (middle + change).clamp(0, 255).to(torch.uint8)


def euclidean(change: Tensor) -> Tensor:
    """The l2 norm of each image, (n, 1, 1, 1)."""
    length: Tensor = torch.linalg.vector_norm(change, dim=(1, 2, 3), keepdim=True)
    return length


def check(images: Tensor, centres: Tensor, ball: Ball | None) -> None:
    """Refuse images that are not finite, not in [0, 1], or more than 1e-6 outside the ball (None: any distance).

    Raises:
        OutsideError: one is; says which, and by how much.
    """
    if not bool(torch.isfinite(images).all()):
        raise OutsideError("an attack made pixels that are not finite: report it with the spec of the attack")
    over = torch.maximum(images - 1.0, -images).flatten(1).amax(1)
    where = "[0, 1]"
    if ball is not None and float(over.max()) <= 0.0:
        over, where = ball.distances(images, centres) - ball.radius - TOLERANCE, f"its {ball.norm} ball"
    worst = int(over.argmax())
    if float(over[worst]) > 0.0:
        raise OutsideError(
            f"image {worst} of a batch lies {float(over[worst]):.2g} outside {where}: report it with the attack's spec"
        )


def _rounded_inside(change: Tensor, radius: float) -> Tensor:
    """Rounded (n, pixels) with a norm of at most `radius`."""
    outward = change.round()
    inward = change.trunc()
    saved = outward.square() - inward.square()
    # Those that are rounded away from zero, the least certain first.
    doubt = torch.where(saved > 0, change.frac().abs(), torch.full_like(change, 2.0))
    order = doubt.argsort(dim=1)
    excess = outward.square().sum(1, keepdim=True) - radius**2
    before = saved.gather(1, order).cumsum(1) - saved.gather(1, order)
    turned = torch.zeros_like(change, dtype=torch.bool).scatter(1, order, before < excess)
    return torch.where(turned, inward, outward)
