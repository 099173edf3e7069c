"""The policy by reinforcement, the backbone frozen: REINFORCE with a self-critical baseline, without labels.

After BlockDrop (Wu et al. 2018, sections 3.2 and 3.3): the reward of a route counts the MACs it drops, and punishes an
answer that differs from the full network's; the baseline is the reward of the policy's own most likely route
(Rennie et al. 2017); an entropy bonus keeps it exploring; a curriculum frees the gates one by one from the last block
on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from export.networks.policy import DecisionNetwork
from export.training.loop import Phase
from export.training.trials import Trials


@dataclass(frozen=True, slots=True)
class PolicyGradientOptions:
    """`target_saving` is the share of the network's MACs beyond which dropping earns nothing more; `disagreement_cost`
    is the punishment of a changed answer; `curriculum` the share of the steps after which all gates are free;
    `routes_per_image` how many routes are tried for each image of a step.  `entropy_bonus` is paid per bit up to
    `target_entropy_bits`; `logit_decay` (per squared logit) keeps the policy from deciding before it has seen much: at
    a bound of its range it learns nothing more."""

    rate: float
    curriculum: float
    routes_per_image: int = 1
    target_saving: float = 0.36
    disagreement_cost: float = 5.0
    entropy_bonus: float = 0.05
    target_entropy_bits: float = math.inf
    logit_decay: float = 0.002


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
    name: str,
    policy: DecisionNetwork,
    optimizer: torch.optim.Optimizer,
    trials: Trials,
    shares: Tensor,
    *,
    steps: int,
    options: PolicyGradientOptions,
) -> Phase:
    """The policy learns from `trials`; `shares` (gates,) is what dropping each block saves (`body_shares`)."""

    def step(index: int) -> Mapping[str, float]:
        trial = trials[index]
        policy.train()
        logits = policy.logits(trial.images)
        keep = policy.probabilities(logits)
        free = free_gates(index, steps, len(shares), options.curriculum)

        def reward(gates: Tensor) -> Tensor:
            return route_reward(gates.float(), trial.agrees(gates), shares, options)

        with torch.no_grad():
            baseline = reward((keep >= 0.5) | ~free)
        rewards, gains, dropped = [], [], []
        for _ in range(options.routes_per_image):
            drawn = (torch.rand(keep.shape, generator=trial.generator) < keep.detach()) | ~free
            rewards.append(reward(drawn))
            log_likelihood = (torch.where(drawn, keep, 1 - keep).log() * free).sum(1)
            gains.append((log_likelihood * (rewards[-1] - baseline)).mean())
            dropped.append(((~drawn).float() * shares).sum(1).mean().item())
        entropy = (binary_entropy_bits(keep) * free).sum(1)
        bonus = options.entropy_bonus * entropy.clamp(max=options.target_entropy_bits).mean()
        restraint = options.logit_decay * logits.square().sum(1).mean()
        loss = restraint - bonus - torch.stack(gains).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rewarded = torch.stack(rewards)
        return {
            "reward": rewarded.mean().item(),
            "agreement": (rewarded > -options.disagreement_cost).float().mean().item(),
            "saving": sum(dropped) / len(dropped),
            "entropy": binary_entropy_bits(keep.detach()).sum(1).mean().item(),
        }

    return Phase(name, steps, {"policy": policy, "optimizer": optimizer}, step)
