"""Batch-norm statistics of the routes that will run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from export.networks.policy import DecisionNetwork
from export.networks.resnet import GatedResNet
from export.training.augment import Augmentation
from export.training.examples import BatchOrder, Examples
from export.training.loop import step_generator


@torch.no_grad()
def recalibrate(network: GatedResNet, examples: Examples, seed: int, batches: int, batch: int) -> None:
    """Set the statistics of the full network to means over augmented training images.

    Training at random depth leaves them averaged over many routes.
    """
    with _cumulative_statistics(network):
        for images, _ in _augmented(examples, seed, batches, batch):
            network(images)


@torch.no_grad()
def recalibrate_on_routes(
    network: GatedResNet, policy: DecisionNetwork, examples: Examples, seed: int, batches: int, batch: int
) -> None:
    """Set the statistics of `network` to means over augmented training images on routes drawn from `policy`.

    Training with soft gates leaves statistics of a network that runs every block; each image now counts only in the
    blocks that its route keeps.
    """
    policy.eval()
    with _cumulative_statistics(network):
        for images, generator in _augmented(examples, seed, batches, batch):
            keep = policy(images)
            network.forward_sparse(images, torch.rand(keep.shape, generator=generator) < keep)


def _augmented(examples: Examples, seed: int, batches: int, batch: int) -> Iterator[tuple[Tensor, torch.Generator]]:
    """Each batch, and the generator that augmented it."""
    augment = Augmentation()
    order = BatchOrder(len(examples), batch, seed)
    for index in range(batches):
        generator = step_generator(seed, "recalibrate", index)
        images, _ = examples.batch(order.rows(index))
        yield augment(images, 32, generator).contiguous(memory_format=torch.channels_last), generator


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
