"""Every route for every image: which answers are right, and how far they are from the full network's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from export.networks.every_route import route_probabilities, scores_of_every_route
from export.networks.resnet import GatedResNet
from export.training.examples import Examples

_BATCH = 32


@dataclass(frozen=True, slots=True)
class RouteTable:
    """`right` and `divergence` (n, routes): 1.0 for a right answer; nats of KL(full network || route)."""

    images: Tensor
    right: Tensor
    divergence: Tensor

    def rightness(self, keep: Tensor) -> Tensor:
        """Probability of a right answer to every image, (n,), for keep-probabilities (n, gates)."""
        return (route_probabilities(keep) * self.right).sum(1)


@torch.no_grad()
def tabulate(network: GatedResNet, examples: Examples, progress: str) -> RouteTable:
    """Run every route for every one of `examples`."""
    network.eval()
    images, right, divergence = [], [], []
    for count, (x, labels) in enumerate(_batches(examples)):
        scores = scores_of_every_route(network, x).transpose(0, 1)
        answers = scores.log_softmax(2)
        full = answers[:, -1:]
        images.append(x)
        right.append((scores.argmax(2) == labels.unsqueeze(1)).float())
        divergence.append((full.exp() * (full - answers)).sum(2))
        print(f"\r{progress}: {min((count + 1) * _BATCH, len(examples))} of {len(examples)} images", end="", flush=True)
    print()
    return RouteTable(torch.cat(images), torch.cat(right), torch.cat(divergence))


def _batches(examples: Examples) -> Iterator[tuple[Tensor, Tensor]]:
    for rows in torch.arange(len(examples)).split(_BATCH):
        images, labels = examples.batch(rows)
        yield images.contiguous(memory_format=torch.channels_last), labels
