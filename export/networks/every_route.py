"""All routes at once: what exact expectations over the gates are made of."""

from __future__ import annotations

import torch
from torch import Tensor

from export.networks.resnet import GatedResNet


def routes(gates: int) -> Tensor:
    """All 2**gates routes, (2**gates, gates) bool, counting up in binary with the first gate as the highest bit."""
    numbers = torch.arange(2**gates)
    return (numbers.unsqueeze(1) >> torch.arange(gates - 1, -1, -1)) % 2 == 1


def route_probabilities(keep: Tensor) -> Tensor:
    """Probability of every route of `routes`, (batch, 2**gates), for keep-probabilities (batch, gates)."""
    probabilities = torch.ones(len(keep), 1, dtype=keep.dtype)
    for gate in range(keep.shape[1]):
        kept = keep[:, gate : gate + 1]
        # The last gate is the lowest bit: every route so far splits in two, dropped first.
        probabilities = torch.stack((probabilities * (1 - kept), probabilities * kept), 2).flatten(1)
    return probabilities


def scores_of_every_route(network: GatedResNet, images: Tensor) -> Tensor:
    """Scores (2**gates, batch, classes) of every route of `routes` for images (batch, 3, 32, 32).

    Routes share their beginnings: 2**gates - 1 block passes instead of gates * 2**gates.  The memory is that of
    2**gates times the batch at the last block.
    """
    features = network.stem(images)
    for block in network.residual_blocks():
        shortcut = block.shortcut(features)
        bypassed = torch.relu(shortcut) if block.has_projection else shortcut
        kept = torch.relu(shortcut + block.body(features))
        # (routes so far * batch, ...) -> (routes so far, 2, batch, ...)
        pair = torch.stack([side.view(-1, len(images), *side.shape[1:]) for side in (bypassed, kept)], 1)
        features = pair.flatten(0, 2).contiguous(memory_format=torch.channels_last)
    scores: Tensor = network.head(features)
    return scores.view(-1, len(images), scores.shape[1])
