"""Training with labels, at random depth, with rising resolution: the recipe of `resnet18-gtsrb`.

Random depth (Huang et al. 2016, "Deep Networks with Stochastic Depth"): every step drops some blocks, the later ones
more often.  It makes a step cheaper, and leaves a network that a policy can take blocks from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.networks.resnet import GatedResNet
from export.training.augment import Augment, Augmentation
from export.training.batches import Batches
from export.training.examples import Examples
from export.training.loop import Phase
from export.training.schedule import one_cycle


@dataclass(frozen=True, slots=True)
class SupervisedOptions:
    """`keep_last` is the keep-probability of the last block; the others lie on the line from 1 down to it."""

    batch: int = 128
    peak_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.05
    keep_last: float = 0.7
    augmentation: Augment = field(default_factory=Augmentation)


def weight_decay_groups(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Parameters in two groups: weights decay, biases and batch-norm scales do not."""
    matrices = [p for p in module.parameters() if p.ndim > 1]
    vectors = [p for p in module.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def momentum(network: nn.Module, weight_decay: float = 5e-4) -> torch.optim.SGD:
    """Stochastic gradient descent with Nesterov's momentum, for phases that set its rate at every step."""
    return torch.optim.SGD(weight_decay_groups(network, weight_decay), lr=0.0, momentum=0.9, nesterov=True)


def random_route(keep: Tensor, generator: torch.Generator) -> list[bool]:
    """One route, each block kept with its probability in `keep` (gates,)."""
    return [bool(kept) for kept in torch.rand(len(keep), generator=generator) < keep]


def supervised_phase(
    name: str,
    network: GatedResNet,
    optimizer: torch.optim.Optimizer,
    examples: Examples,
    *,
    size: int,
    steps: int,
    first_step: int,
    total_steps: int,
    seed: int,
    options: SupervisedOptions,
) -> Phase:
    """A part of the training at one image size; `first_step` and `total_steps` place it on the learning-rate curve."""
    batches = Batches(examples, options.batch, seed, name, size, options.augmentation)
    keep = 1.0 - (1.0 - options.keep_last) * torch.arange(1, network.gates + 1) / network.gates

    def step(index: int) -> Mapping[str, float]:
        images, labels, generator = batches[index]
        for group in optimizer.param_groups:
            group["lr"] = one_cycle(first_step + index, total_steps, options.peak_rate)
        network.train()
        scores = network(images, random_route(keep, generator))
        loss = F.cross_entropy(scores, labels, label_smoothing=options.label_smoothing)
        # A dropped block must keep its weights as they are: no gradient, not a gradient of zero with momentum.
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return {"loss": loss.item(), "accuracy": (scores.argmax(1) == labels).float().mean().item()}

    return Phase(name, steps, {"network": network, "optimizer": optimizer}, step)
