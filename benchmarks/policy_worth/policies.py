"""Policies for other savings over the same backbone, by gradient descent on the exact expectation over all routes."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from benchmarks.policy_worth.table import RouteTable
from export.networks.every_route import route_probabilities
from export.networks.policy import DecisionNetwork
from export.training.policy_gradient import binary_entropy_bits
from export.training.schedule import one_cycle

_STEPS = 400
_BATCH = 256


def policy_for(
    saving: float, start: DecisionNetwork, table: RouteTable, shares: Tensor, entropy_bits: float, seed: int
) -> DecisionNetwork:
    """A policy that saves `saving` (a share of the MACs) with the least expected divergence from the full network, at
    `entropy_bits` of randomness for every frame; it begins as a copy of `start`."""
    policy = copy.deepcopy(start).train()
    adam = torch.optim.Adam(policy.parameters(), 1.0)
    generator = torch.Generator().manual_seed(seed)
    for step in range(_STEPS):
        rows = torch.randperm(len(table.images), generator=generator)[:_BATCH]
        for group in adam.param_groups:
            group["lr"] = one_cycle(step, _STEPS, 5e-3)
        logits = policy.logits(table.images[rows])
        keep = policy.probabilities(logits)
        gap = (route_probabilities(keep) * table.divergence[rows]).sum(1).mean()
        saved = ((1 - keep) * shares).sum(1).mean()
        lacking = (entropy_bits - binary_entropy_bits(keep).sum(1)).clamp(min=0).mean()
        loss = gap + 100 * (saved - saving) ** 2 + lacking + 1e-3 * logits.square().sum(1).mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
    return policy.eval()
