"""Policy and backbone together: straight-through Gumbel-Softmax gates, the full network as teacher, no labels.

A gate is drawn from the policy's probabilities in the forward pass and differentiated through its relaxation in the
backward pass (Jang et al. 2017, section 2.2; Maddison et al. 2017, the binary case).
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
from export.training.distil import agreement, divergence
from export.training.examples import Examples
from export.training.loop import Phase, Stateful
from export.training.policy_gradient import binary_entropy_bits
from export.training.schedule import one_cycle


@dataclass(frozen=True, slots=True)
class GumbelOptions:
    """`usage_weight` pulls the mean saving to `target_saving` (a share of the network's MACs); `randomness_weight`
    pulls every image's route entropy up to `target_entropy_bits`; `temperature` is the relaxation's; `logit_decay`
    (per squared logit) keeps gates off the bounds of their range, where they learn nothing more."""

    batch: int
    backbone_rate: float
    target_saving: float
    policy_rate: float = 5e-3
    temperature: float = 1.0
    usage_weight: float = 40.0
    target_entropy_bits: float = 4.2
    randomness_weight: float = 0.05
    logit_decay: float = 2e-4
    augmentation: Augment = field(default_factory=Augmentation)
    size: int = 32


def straight_through_gates(keep: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """Gates in {0, 1} drawn with probabilities `keep` (batch, gates), carrying the relaxed gradient.

    The difference of two Gumbel variables is logistic: gate = 1 where logit(keep) + log u - log(1 - u) > 0.
    """
    uniform = torch.rand(keep.shape, generator=generator).clamp(1e-6, 1 - 1e-6)
    logits = keep.log() - (1 - keep).log() + uniform.log() - (1 - uniform).log()
    soft = torch.sigmoid(logits / temperature)
    return (logits > 0).float() + soft - soft.detach()


def joint_phase(
    policy: DecisionNetwork,
    student: GatedResNet,
    teacher: GatedResNet,
    optimizer: torch.optim.Optimizer,
    policy_optimizer: torch.optim.Optimizer,
    examples: Examples,
    *,
    steps: int,
    seed: int,
    options: GumbelOptions,
) -> Phase:
    """The phase "joint": `optimizer` holds the student's parameters, `policy_optimizer` the policy's."""
    batches = Batches(examples, options.batch, seed, "joint", options.size, options.augmentation)
    shares = body_shares(student)
    teacher.eval()

    def step(index: int) -> Mapping[str, float]:
        images, _, generator = batches[index]
        for used, peak in ((optimizer, options.backbone_rate), (policy_optimizer, options.policy_rate)):
            for group in used.param_groups:
                group["lr"] = one_cycle(index, steps, peak)
        with torch.no_grad():
            target = teacher(images)
        student.train()
        policy.train()
        logits = policy.logits(images)
        keep = policy.probabilities(logits)
        scores = student.forward_soft(images, straight_through_gates(keep, options.temperature, generator))
        saving = ((1 - keep) * shares).sum(1).mean()
        entropy = binary_entropy_bits(keep).sum(1)
        fidelity = divergence(scores, target)
        usage = options.usage_weight * (saving - options.target_saving) ** 2
        randomness = options.randomness_weight * (options.target_entropy_bits - entropy).clamp(min=0).mean()
        restraint = options.logit_decay * logits.square().sum(1).mean()
        loss = fidelity + usage + randomness + restraint
        optimizer.zero_grad(set_to_none=True)
        policy_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        policy_optimizer.step()
        return {
            "divergence": fidelity.item(),
            "agreement": agreement(scores.detach(), target).mean().item(),
            "saving": saving.item(),
            "entropy": entropy.mean().item(),
        }

    state: dict[str, Stateful] = {
        "student": student,
        "policy": policy,
        "optimizer": optimizer,
        "policy-optimizer": policy_optimizer,
    }
    return Phase("joint", steps, state, step)
