"""APGD: PGD with momentum that halves its step where it stops getting on (Croce & Hein 2020, algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from bench.attacks.base import Crafted, crafted
from bench.attacks.best import Best
from bench.attacks.gradients import Gradients, Slope
from bench.attacks.target import Target
from bench.attacks.white_box import WhiteBox, check_count

_MOMENTUM = 0.25


@dataclass(frozen=True)
class APGD(WhiteBox):
    """`steps` steps without a step size to choose: `apgd:eps=8/255,steps=100,loss=dlr` is APGD-DLR.

    AutoAttack's version for random networks is `steps=100,eot=20` with `loss=ce` and again with `loss=dlr`.  Each image
    keeps its best iterate: one that fools the network, and of these the one of the highest loss.
    """

    steps: int = field(default=100, metadata={"help": "steps, 1 to 100000", "example": "100"})
    restarts: int = field(default=1, metadata={"help": "random starts, 1 to 1000", "example": "5"})
    rho: float = field(default=0.75, metadata={"help": "share of rising steps below which it halves, 0 to 1"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("steps", self.steps)
        check_count("restarts", self.restarts, 1000)
        if not 0.0 <= self.rho <= 1.0:
            raise ValueError(f"rho is a share from 0 to 1, not {self.rho:g}; for example rho=0.75")

    @property
    def looks(self) -> int:
        return self.restarts * (self.steps + 1)

    def craft(self, target: Target, images: Tensor, labels: Tensor, generator: torch.Generator) -> Crafted:
        """Adversarial copies of `images`; see `Attack.craft`."""
        gradients, best = self.gradients(target, labels, generator), Best(images, labels)
        for _ in range(self.restarts):
            self._run(images, gradients, best, generator)
        return crafted(best.images, gradients)

    def _run(self, images: Tensor, gradients: Gradients, best: Best, generator: torch.Generator) -> None:
        ball = self.ball
        current = ball.edge(images, generator)
        slope = gradients.at(current)
        best.offer(current, slope)
        climb = _Climb(current, slope, 2.0 * ball.radius, self.rho)
        windows = _windows(self.steps)
        previous, window, begun = current, next(windows), 0
        for step in range(self.steps):
            onward = ball.project(current + climb.length * ball.steepest(slope.gradient), images)
            share = _MOMENTUM if step else 0.0
            onward = ball.project(current + (onward - current) * (1 - share) + (current - previous) * share, images)
            previous, current = current, onward
            slope = gradients.at(current)
            best.offer(current, slope)
            climb.add(current, slope)
            if step + 1 - begun == window:
                current, slope = climb.review(current, slope, window)
                begun, window = step + 1, next(windows)


class _Climb:
    """The highest point of one run, and the length of each image's next step, (n, 1, 1, 1)."""

    def __init__(self, images: Tensor, slope: Slope, length: float, rho: float) -> None:
        self.length = torch.full((len(images), 1, 1, 1), length)
        self._images, self._gradient, self._losses = images.clone(), slope.gradient.clone(), slope.losses
        # The first step counts as a rise where its loss is above zero, as in the authors' code.
        self._history = [torch.zeros_like(slope.losses)]
        self._reviewed = slope.losses
        self._halved = torch.ones(len(images), dtype=torch.bool)
        self._rho = rho

    def add(self, images: Tensor, slope: Slope) -> None:
        higher = slope.losses > self._losses
        self._images[higher], self._gradient[higher] = images[higher], slope.gradient[higher]
        self._losses = torch.where(higher, slope.losses, self._losses)
        self._history.append(slope.losses)

    def review(self, images: Tensor, slope: Slope, window: int) -> tuple[Tensor, Slope]:
        """After `window` steps: halve the step of those that rose too rarely, or found nothing higher with a step that
        was not just halved, and send them back to their highest point."""
        recent = torch.stack(self._history[-window - 1 :])
        rarely = (recent[1:] > recent[:-1]).sum(0) <= self._rho * window
        stuck = ~self._halved & (self._reviewed >= self._losses)
        self._halved, self._reviewed = rarely | stuck, self._losses
        back = self._halved.view(-1, 1, 1, 1)
        self.length = torch.where(back, self.length / 2, self.length)
        gradient = torch.where(back, self._gradient, slope.gradient)
        return torch.where(back, self._images, images), replace(slope, gradient=gradient)


def _windows(steps: int) -> Iterator[int]:
    """How many steps lie between one review and the next: fewer each time."""
    window, least, fewer = (max(1, int(share * steps)) for share in (0.22, 0.06, 0.03))
    while True:
        yield window
        window = max(window - fewer, least)
