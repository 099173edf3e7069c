"""Scores of every exit under given gates, and under every route at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from export.networks.early_exit import EarlyExitNetwork
from export.networks.resnet import BasicBlock, GatedResNet


def trunk(network: nn.Module) -> GatedResNet | None:
    """The part of `network` that has gates, or None."""
    inner = network.backbone if isinstance(network, EarlyExitNetwork) else network
    return inner if isinstance(inner, GatedResNet) else None


def scores_under(network: nn.Module, images: Tensor, gates: Tensor) -> list[Tensor]:
    """Scores (n, classes) of every exit for gates (n, gates): bool skips dropped bodies, real ones are differentiable.

    Real gates are those of `GatedResNet.forward_soft`.
    """
    gated, heads = _parts(network)
    scores: list[Tensor] = []
    features = gated.stem(images)
    for index, block in enumerate(gated.residual_blocks()):
        gate = gates[:, index]
        features = (
            block.mixed(features, gate.nonzero()[:, 0]) if gate.dtype == torch.bool else _soft(block, features, gate)
        )
        if index in heads:
            scores.append(heads[index](features))
    return [*scores, gated.head(features)]


def scores_of_every_route(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Scores (2**gates * n, classes) of every exit, route by route in the order of `export`'s `routes`.

    Routes share their beginnings: 2**gates - 1 block passes, and an exit behind k blocks has 2**k different answers,
    each given to all routes that begin so.
    """
    gated, heads = _parts(network)
    scores: list[Tensor] = []
    features = gated.stem(images)
    for index, block in enumerate(gated.residual_blocks()):
        features = _both(block, features, len(images))
        if index in heads:
            shared = heads[index](features).view(2 ** (index + 1), 1, len(images), -1)
            scores.append(shared.expand(-1, 2 ** (gated.gates - index - 1), -1, -1).flatten(0, 2))
    return [*scores, gated.head(features)]


def _parts(network: nn.Module) -> tuple[GatedResNet, Mapping[int, nn.Module]]:
    gated = trunk(network)
    assert gated is not None, "only a GatedResNet, with or without exits, has routes"
    if isinstance(network, EarlyExitNetwork):
        return gated, dict(zip(network.exits, network.heads, strict=True))
    return gated, {}


def _soft(block: BasicBlock, features: Tensor, gate: Tensor) -> Tensor:
    return torch.relu(block.shortcut(features) + gate.view(-1, 1, 1, 1) * block.body(features))


def _both(block: BasicBlock, features: Tensor, images: int) -> Tensor:
    """Features of twice as many routes, (2 * routes * images, ...): of each, dropped before kept."""
    shortcut = block.shortcut(features)
    dropped = torch.relu(shortcut) if block.has_projection else shortcut
    sides: Sequence[Tensor] = (dropped, torch.relu(shortcut + block.body(features)))
    pair = torch.stack([side.view(-1, images, *side.shape[1:]) for side in sides], 1)
    return pair.flatten(0, 2).contiguous(memory_format=torch.channels_last)
