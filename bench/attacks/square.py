"""Square: random squares that are kept where they help, without any gradient (Andriushchenko et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor

from bench.attacks.base import Crafted, crafted
from bench.attacks.best import prevails
from bench.attacks.losses import LossName
from bench.attacks.target import Target
from bench.attacks.white_box import WhiteBox, check_count

# The share of pixels to change is halved after these queries of 10,000.
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@dataclass(frozen=True)
class Square(WhiteBox):
    """At most `queries` tries an image, each answered by the mean of `eot` draws: `square:eps=8/255,queries=5000`.

    An image is left alone once its answer is wrong.  Where the defence draws, so does every query: through real gates.
    A wrong answer may be luck there, so that no image is left alone, and each try is compared anew: two answers a try.
    """

    eps: Fraction = field(default=Fraction(8, 255), metadata={"help": "radius, 0 to 1", "example": "8/255"})
    loss: LossName = "margin"
    gates: str = field(default="detached", metadata={"help": "the way through the gates, or route:BITS"})
    queries: int = field(default=5000, metadata={"help": "tries an image, 1 to 100000", "example": "1000"})
    share: float = field(default=0.8, metadata={"help": "share of pixels in the first square, 0 to 1"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("queries", self.queries)
        if self.norm != "linf":
            raise ValueError("square is an attack in norm=linf: choose apgd or pgd for norm=l2")
        if not 0.0 < self.share <= 1.0:
            raise ValueError(
                f"share is a share of pixels above 0 and up to 1, not {self.share:g}; for example share=0.8"
            )

    @property
    def looks(self) -> int:
        return 2 * self.queries

    def craft(self, target: Target, images: Tensor, labels: Tensor, generator: torch.Generator) -> Crafted:
        """Adversarial copies of `images`; see `Attack.craft`."""
        ball = self.ball
        stripes = _signs((len(images), images.shape[1], 1, images.shape[3]), generator)
        current = ball.project(images + ball.radius * stripes, images)
        asked = self.gradients(target, labels, generator)
        if asked.is_noisy:
            for query in range(1, self.queries):
                tried = self._tried(current, images, query, generator)
                better = prevails(asked, tried, current)
                current[better] = tried[better]
            return crafted(current, asked)
        view = asked.ask(current)
        losses, left = view.losses, (~view.fools(labels)).nonzero()[:, 0]
        queries = asked.queries
        for query in range(1, self.queries):
            if len(left) == 0:
                break
            tried = self._tried(current[left], images[left], query, generator)
            asked = self.gradients(target, labels[left], generator)
            view = asked.ask(tried)
            queries += asked.queries
            fooled = view.fools(labels[left])
            better = fooled | (view.losses > losses[left])
            current[left[better]] = tried[better]
            losses[left[better]] = view.losses[better]
            left = left[~fooled]
        none = torch.zeros(len(images), dtype=torch.int32)
        return Crafted(current, none, none, gradients=0, queries=queries)

    def _tried(self, current: Tensor, images: Tensor, query: int, generator: torch.Generator) -> Tensor:
        changes = 2 * self.ball.radius * self._squares(images, query, generator)
        return self.ball.project(current + changes, images)

    def _squares(self, images: Tensor, query: int, generator: torch.Generator) -> Tensor:
        """For every image one square anywhere, its channels -1 or 1, zero around it."""
        count, channels, height, width = images.shape
        scaled = query * 10_000 // self.queries
        share = self.share / 2 ** sum(scaled > limit for limit in _HALVINGS)
        side = min(max(1, round((share * height * width) ** 0.5)), height, width)
        top, left = (torch.randint(size - side + 1, (count, 1, 1, 1), generator=generator) for size in (height, width))
        rows, columns = torch.arange(height).view(1, 1, -1, 1), torch.arange(width).view(1, 1, 1, -1)
        inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
        squares: Tensor = inside * _signs((count, channels, 1, 1), generator)
        return squares


def _signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randint(2, shape, generator=generator).float() * 2 - 1
