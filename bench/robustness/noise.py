"""Random search: the best of many random changes, without a look at any gradient."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.attacks.base import Crafted, crafted
from bench.attacks.best import Best
from bench.attacks.target import Target
from bench.attacks.white_box import WhiteBox, check_count


@dataclass(frozen=True)
class Noise(WhiteBox):
    """Of `tries` uniform draws from the ball each image keeps the best: a control that every attack must outdo."""

    tries: int = field(default=100, metadata={"help": "random changes, 1 to 100000", "example": "100"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("tries", self.tries)

    def craft(self, target: Target, images: Tensor, labels: Tensor, generator: torch.Generator) -> Crafted:
        """Noisy copies of `images`; see `Attack.craft`."""
        gradients, best = self.gradients(target, labels, generator), Best(images, labels)
        for _ in range(self.tries):
            tried = self.ball.start(images, generator)
            best.offer(tried, gradients.ask(tried))
        return crafted(best.images, gradients)
