"""PGD with every iterate looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.gradients import View
from bench.attacks.pgd import PGD
from bench.attacks.target import Target
from bench.attacks.white_box import step_size


@dataclass(frozen=True, slots=True)
class Trace:
    """`losses` and `fooled`, (steps + 1, n), of the start and of the iterate after every step, by draws like
    the attack's own; `images` are the last iterates."""

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


def traced(
    attack: PGD,
    target: Target,
    images: Tensor,
    labels: Tensor,
    seed: int,
    check: Callable[[], None] = lambda: None,
) -> Trace:
    """One run of `attack` from a random start; `check` is called before every step, and may end it by raising.

    Iterates are looked at by the same draws each time, or the best loss so far would rise by luck alone.
    """
    generator = torch.Generator().manual_seed(seed)
    gradients, ball, length = (
        attack.gradients(target, labels, generator),
        attack.ball,
        step_size(attack.step, attack.eps),
    )

    def looked_at(images: Tensor) -> View:
        return attack.gradients(target, labels, torch.Generator().manual_seed(seed + 1)).ask(images)

    current = ball.start(images, generator)
    views = [looked_at(current)]
    for _ in range(attack.steps):
        check()
        current = ball.project(current + length * ball.steepest(gradients.at(current).gradient), images)
        views.append(looked_at(current))
    losses = torch.stack([view.losses for view in views])
    return Trace(losses, torch.stack([view.fools(labels) for view in views]), current)
