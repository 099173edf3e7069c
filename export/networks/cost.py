"""What the blocks of a network cost."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from export.networks.resnet import GatedResNet


@torch.no_grad()
def macs(module: nn.Module, x: Tensor) -> tuple[int, Tensor]:
    """Multiply-accumulates of the convolutions and matrix products of `module` on `x` (batch 1), and its output."""
    total = 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += output.shape[2] * output.shape[3] * layer.weight.numel()
        elif isinstance(layer, nn.Linear):
            total += layer.weight.numel()

    hooks = [layer.register_forward_hook(count) for layer in module.modules()]
    output = module(x)
    for hook in hooks:
        hook.remove()
    return total, output


def body_shares(network: GatedResNet, size: int = 32) -> Tensor:
    """What each gate can save, (gates,): the MACs of a block's body as a share of the whole network's.

    The shortcut is not counted: it runs either way.
    """
    training = network.training
    network.eval()
    total, x = macs(network.stem, torch.zeros(1, 3, size, size))
    bodies = []
    for block in network.residual_blocks():
        body, _ = macs(block.body, x)
        whole, x = macs(block, x)
        bodies.append(body)
        total += whole
    total += macs(network.head, x)[0]
    network.train(training)
    return torch.tensor(bodies, dtype=torch.float64).div(total).float()
