"""Where the gates of a training step come from: at random, from a policy, or always the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from export.networks.policy import DecisionNetwork

# Images (batch, 3, h, w) and a generator -> gates (batch, gates) bool, True where a block is kept.
RouteDraw: TypeAlias = Callable[[Tensor, torch.Generator], Tensor]


def random_depth(gates: int, keep_low: float, keep_high: float) -> RouteDraw:
    """Every image draws its own keep-probability in [keep_low, keep_high], then each gate with that."""

    def draw(images: Tensor, generator: torch.Generator) -> Tensor:
        keep = keep_low + (keep_high - keep_low) * torch.rand(len(images), 1, generator=generator)
        return torch.rand(len(images), gates, generator=generator) < keep

    return draw


def from_policy(policy: DecisionNetwork) -> RouteDraw:
    """Gates as the runtime draws them; the policy is in evaluation mode and is not changed."""
    policy.eval()

    def draw(images: Tensor, generator: torch.Generator) -> Tensor:
        with torch.no_grad():
            keep: Tensor = policy(images)
        return torch.rand(keep.shape, generator=generator) < keep

    return draw


def always(route: Sequence[bool]) -> RouteDraw:
    """One route for every image: a static sub-network."""

    def draw(images: Tensor, generator: torch.Generator) -> Tensor:
        return torch.tensor(route).expand(len(images), len(route))

    return draw
