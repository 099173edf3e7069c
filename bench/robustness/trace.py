"""PGD with every iterate looked at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.pgd import PGD
from bench.attacks.target import Target
from bench.attacks.white_box import step_size


@dataclass(frozen=True, slots=True)
class Trace:
    """`losses` and `fooled`, (steps + 1, n), of the start and of the iterate after every step, by the attack's own
    draws; `images` are the last iterates."""

    losses: Tensor
    fooled: Tensor
    images: Tensor

    @property
    def silent(self) -> Tensor:
        """Which images were fooled on the way and not in the end, (n,)."""
        return self.fooled.any(0) & ~self.fooled[-1]

    def unfinished(self, window: int) -> Tensor:
        """How much of the rise of the best loss so far came in the last `window` steps, (n,) in [0, 1]."""
        best = self.losses.cummax(0).values
        rise = best[-1] - best[0]
        late = best[-1] - best[-1 - window]
        return torch.where(rise > 0, late / rise.clamp(min=torch.finfo(rise.dtype).tiny), torch.zeros_like(rise))


def traced(attack: PGD, target: Target, images: Tensor, labels: Tensor, generator: torch.Generator) -> Trace:
    """One run of `attack` from a random start, the last iterate looked at too."""
    gradients, ball, length = (
        attack.gradients(target, labels, generator),
        attack.ball,
        step_size(attack.step, attack.eps),
    )
    current, views = ball.start(images, generator), []
    for _ in range(attack.steps):
        slope = gradients.at(current)
        views.append((slope.losses, slope.fools(labels)))
        current = ball.project(current + length * ball.steepest(slope.gradient), images)
    last = gradients.ask(current)
    views.append((last.losses, last.fools(labels)))
    losses, fooled = (torch.stack(column) for column in zip(*views, strict=True))
    return Trace(losses, fooled, current)
