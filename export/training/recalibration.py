"""Batch-norm statistics of the routes that will run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from export.networks.resnet import GatedResNet
from export.training.batches import Batches
from export.training.routes import RouteDraw


@torch.no_grad()
def recalibrate(network: GatedResNet, batches: Batches, draw: RouteDraw, count: int) -> None:
    """Set the statistics of `network` to means over the first `count` of `batches`, on the routes of `draw`.

    Running means over a training lag behind its weights and remember other routes; here each image counts equally, and
    only in the blocks that its route keeps.
    """
    with _cumulative_statistics(network):
        for index in range(count):
            images, _, generator = batches[index]
            network.forward_sparse(images, draw(images, generator))


@contextmanager
def _cumulative_statistics(network: nn.Module) -> Iterator[None]:
    """Inside, every batch norm starts anew and takes the plain mean over all batches; afterwards, evaluation mode."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    network.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.eval()
