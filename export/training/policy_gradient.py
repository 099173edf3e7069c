"""The policy by reinforcement, the backbone frozen: REINFORCE with a self-critical baseline, without labels.

After BlockDrop (Wu et al. 2018, sections 3.2 and 3.3): the reward of a route counts the MACs it drops, and punishes an
answer that differs from the full network's; the baseline is the reward of the policy's own most likely route
(Rennie et al. 2017); an entropy bonus keeps it exploring; a curriculum frees the gates one by one from the last block
on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from export.networks.cost import body_shares
from export.networks.policy import DecisionNetwork
from export.networks.resnet import GatedResNet
from export.training.augment import Augment, Augmentation
from export.training.batches import Batches
from export.training.distil import agreement
from export.training.examples import Examples
from export.training.loop import Phase


@dataclass(frozen=True, slots=True)
class PolicyGradientOptions:
    """`target_saving` is the share of the network's MACs beyond which dropping earns nothing more; `disagreement_cost`
    is the punishment of a changed answer; `curriculum` the share of the steps after which all gates are free.
    `entropy_bonus` (per bit) and `logit_decay` (per squared logit) keep the policy from deciding before it has seen
    much: at a bound of its range it learns nothing more."""

    batch: int
    rate: float
    curriculum: float
    target_saving: float = 0.36
    disagreement_cost: float = 5.0
    entropy_bonus: float = 0.05
    logit_decay: float = 0.002
    augmentation: Augment = field(default_factory=Augmentation)
    size: int = 32


def binary_entropy_bits(probability: Tensor) -> Tensor:
    """Entropy of a coin in bits, elementwise; probabilities strictly inside (0, 1)."""
    return -(probability * probability.log2() + (1 - probability) * (1 - probability).log2())


def route_reward(gates: Tensor, agrees: Tensor, shares: Tensor, options: PolicyGradientOptions) -> Tensor:
    """Reward of routes, (batch,): gates (batch, gates) in {0, 1}, agrees (batch,) in {0, 1}, shares (gates,).

    1 - (missing / target)^2 where the answer is the full network's, `missing` being how much of the target saving the
    route leaves undone; -disagreement_cost where it is another.
    """
    saving = ((1 - gates) * shares).sum(1)
    missing = (1 - saving / options.target_saving).clamp(min=0)
    return torch.where(agrees > 0, 1 - missing**2, torch.full_like(missing, -options.disagreement_cost))


def free_gates(step: int, steps: int, gates: int, curriculum: float) -> Tensor:
    """Which gates the curriculum lets the policy decide at this step, (gates,) bool: the last ones first."""
    free = min(gates, 1 + int(gates * step / max(1.0, curriculum * steps)))
    return torch.arange(gates) >= gates - free


def policy_gradient_phase(
    policy: DecisionNetwork,
    backbone: GatedResNet,
    optimizer: torch.optim.Optimizer,
    examples: Examples,
    *,
    steps: int,
    seed: int,
    options: PolicyGradientOptions,
) -> Phase:
    """The phase "policy-gradient"; the backbone stays in evaluation mode and is not changed."""
    batches = Batches(examples, options.batch, seed, "policy-gradient", options.size, options.augmentation)
    shares = body_shares(backbone)
    backbone.eval()

    def step(index: int) -> Mapping[str, float]:
        images, _, generator = batches[index]
        policy.train()
        logits = policy.logits(images)
        keep = policy.probabilities(logits)
        free = free_gates(index, steps, backbone.gates, options.curriculum)
        with torch.no_grad():
            drawn = (torch.rand(keep.shape, generator=generator) < keep) | ~free
            likely = (keep >= 0.5) | ~free
            full = backbone(images)
            rewards = [
                route_reward(gates.float(), agreement(backbone.forward_sparse(images, gates), full), shares, options)
                for gates in (drawn, likely)
            ]
            advantage = rewards[0] - rewards[1]
        log_likelihood = (torch.where(drawn, keep, 1 - keep).log() * free).sum(1)
        entropy = (binary_entropy_bits(keep) * free).sum(1).mean()
        restraint = options.logit_decay * logits.square().sum(1).mean()
        loss = -(log_likelihood * advantage).mean() - options.entropy_bonus * entropy + restraint
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return {
            "reward": rewards[0].mean().item(),
            "agreement": (rewards[0] > -options.disagreement_cost).float().mean().item(),
            "saving": ((~drawn).float() * shares).sum(1).mean().item(),
            "entropy": binary_entropy_bits(keep.detach()).sum(1).mean().item(),
        }

    return Phase("policy-gradient", steps, {"policy": policy, "optimizer": optimizer}, step)
