"""Gates inside the network and the network together: straight-through gates, the full network as teacher, no labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from export.networks.cost import body_shares
from export.networks.resnet import GatedResNet
from export.networks.skipnet import SkipNet
from export.training.augment import Augment, Augmentation
from export.training.batches import Batches
from export.training.distil import agreement, divergence
from export.training.examples import Examples
from export.training.gumbel import straight_through_gates
from export.training.loop import Phase, Stateful
from export.training.routes import RouteDraw
from export.training.schedule import one_cycle

# A probability that is all but certain has no logarithm of its opposite in float32.
_FLOOR = 1e-3


@dataclass(frozen=True, slots=True)
class SkippingOptions:
    """`usage_weight` pulls the mean saving to `target_saving`, a share of the network's MACs; `rate` and `gate_rate`
    are the highest learning rates of the backbone and of the gates."""

    batch: int
    target_saving: float
    rate: float = 0.02
    gate_rate: float = 5e-3
    temperature: float = 1.0
    usage_weight: float = 40.0
    augmentation: Augment = field(default_factory=Augmentation)


def skipping_phase(
    name: str,
    network: SkipNet,
    teacher: GatedResNet,
    optimizer: torch.optim.Optimizer,
    gate_optimizer: torch.optim.Optimizer,
    examples: Examples,
    *,
    steps: int,
    seed: int,
    options: SkippingOptions,
) -> Phase:
    """Each gate is drawn from its probability in the forward pass and differentiated through its relaxation.

    `optimizer` holds the parameters of the backbone, `gate_optimizer` those of the gates.  SkipNet (section 4.1) rounds
    where this draws; drawing tries both sides of a gate that is not sure, and costs nothing where it is.
    """
    batches = Batches(examples, options.batch, seed, name, augmentation=options.augmentation)
    shares = body_shares(network)
    teacher.eval()

    def step(index: int) -> Mapping[str, float]:
        images, _, generator = batches[index]
        for used, peak in ((optimizer, options.rate), (gate_optimizer, options.gate_rate)):
            for group in used.param_groups:
                group["lr"] = one_cycle(index, steps, peak)
        with torch.no_grad():
            target = teacher(images)

        def draw(keep: Tensor) -> Tensor:
            return straight_through_gates(keep.clamp(_FLOOR, 1 - _FLOOR), options.temperature, generator)

        network.train()
        scores, keep = network.forward_drawn(images, draw)
        saving = ((1 - keep) * shares).sum(1).mean()
        fidelity = divergence(scores, target)
        loss = fidelity + options.usage_weight * (saving - options.target_saving) ** 2
        optimizer.zero_grad(set_to_none=True)
        gate_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        gate_optimizer.step()
        return {
            "divergence": fidelity.item(),
            "agreement": agreement(scores.detach(), target).mean().item(),
            "saving": saving.item(),
        }

    state: dict[str, Stateful] = {"network": network, "optimizer": optimizer, "gate-optimizer": gate_optimizer}
    return Phase(name, steps, state, step)


def own_decisions(network: SkipNet) -> RouteDraw:
    """The gates that the network opens for an image, as it stands."""

    def draw(images: Tensor, generator: torch.Generator) -> Tensor:
        return network.decisions(images)

    return draw
