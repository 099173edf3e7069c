"""Scores of every exit under given gates, and under every route at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from export.networks.early_exit import EarlyExitNetwork
from export.networks.resnet import BasicBlock, GatedResNet


def trunk(network: nn.Module) -> GatedResNet | None:
    """The part of `network` that has gates, or None."""
    inner = network.backbone if isinstance(network, EarlyExitNetwork) else network
    return inner if isinstance(inner, GatedResNet) else None


def scores_under(network: nn.Module, images: Tensor, gates: Tensor) -> list[Tensor]:
    """Scores (rows, classes) of every exit for gates (rows, gates), once through all images or several times over: bool
    skips dropped bodies, real ones are differentiable.

    Real gates are those of `GatedResNet.forward_soft`.
    """
    gated, heads = _parts(network)
    scores: list[Tensor] = []
    features = gated.stem(images)
    if len(gates) > len(images):
        features = torch.cat([features] * (len(gates) // len(images)))
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
    features = gated.stem(images).contiguous(memory_format=torch.channels_last)
    for index, block in enumerate(gated.residual_blocks()):
        features = _both(block, features)
        if index in heads:
            shared = _in_order(heads[index](features), index + 1).view(2 ** (index + 1), 1, len(images), -1)
            scores.append(shared.expand(-1, 2 ** (gated.gates - index - 1), -1, -1).flatten(0, 2))
    return [*scores, _in_order(gated.head(features), gated.gates)]


def _parts(network: nn.Module) -> tuple[GatedResNet, Mapping[int, nn.Module]]:
    gated = trunk(network)
    assert gated is not None, "only a GatedResNet, with or without exits, has routes"
    if isinstance(network, EarlyExitNetwork):
        return gated, dict(zip(network.exits, network.heads, strict=True))
    return gated, {}


def _soft(block: BasicBlock, features: Tensor, gate: Tensor) -> Tensor:
    return torch.relu(block.shortcut(features) + gate.view(-1, 1, 1, 1) * block.body(features))


def _both(block: BasicBlock, features: Tensor) -> Tensor:
    """Features of twice as many routes, (2 * routes * images, ...): of all dropped, then of all kept.

    That is one copy; an order by route would take another, and its way back two more.
    """
    shortcut = block.shortcut(features)
    dropped = torch.relu(shortcut) if block.has_projection else shortcut
    return torch.cat((dropped, torch.relu(shortcut + block.body(features))))


def _in_order(scores: Tensor, gates: int) -> Tensor:
    """Scores (2**gates * n, classes) that have the last gate as the highest bit, with the first as the highest."""
    by_gate = scores.view(*[2] * gates, -1, scores.shape[1])
    return by_gate.permute(*range(gates - 1, -1, -1), gates, gates + 1).flatten(0, gates)
