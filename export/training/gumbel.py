"""Policy and backbone together: straight-through Gumbel-Softmax gates, the full network as teacher, no labels.

A gate is drawn from the policy's probabilities in the forward pass and differentiated through its relaxation in the
backward pass (Jang et al. 2017, section 2.2; Maddison et al. 2017, the binary case).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from export.networks.cost import body_shares
from export.networks.policy import DecisionNetwork
from export.networks.resnet import GatedResNet
from export.training.augment import Augmentation
from export.training.distil import agreement, divergence
from export.training.examples import BatchOrder, Examples
from export.training.loop import Phase, step_generator
from export.training.policy_gradient import binary_entropy_bits
from export.training.schedule import one_cycle


@dataclass(frozen=True, slots=True)
class GumbelOptions:
    """`usage_weight` pulls the mean saving to `target_saving` (a share of the network's MACs); `randomness_weight`
    pulls the mean route entropy up to `target_entropy_bits`; `temperature` is the relaxation's."""

    batch: int
    backbone_rate: float
    target_saving: float
    policy_rate: float = 0.01
    temperature: float = 1.0
    usage_weight: float = 40.0
    target_entropy_bits: float = 5.0
    randomness_weight: float = 0.05
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
    examples: Examples,
    *,
    steps: int,
    seed: int,
    options: GumbelOptions,
) -> Phase:
    """The phase "joint"; `optimizer` has the student's groups first and the policy's last."""
    order = BatchOrder(len(examples), options.batch, seed)
    augment = Augmentation()
    shares = body_shares(student)
    teacher.eval()

    def step(index: int) -> Mapping[str, float]:
        generator = step_generator(seed, "joint", index)
        images, _ = examples.batch(order.rows(index))
        images = augment(images, options.size, generator).contiguous(memory_format=torch.channels_last)
        for group in optimizer.param_groups[:-1]:
            group["lr"] = one_cycle(index, steps, options.backbone_rate)
        optimizer.param_groups[-1]["lr"] = one_cycle(index, steps, options.policy_rate)
        with torch.no_grad():
            target = teacher(images)
        student.train()
        policy.train()
        keep = policy(images)
        scores = student.forward_soft(images, straight_through_gates(keep, options.temperature, generator))
        saving = ((1 - keep) * shares).sum(1).mean()
        entropy = binary_entropy_bits(keep).sum(1).mean()
        fidelity = divergence(scores, target)
        usage = options.usage_weight * (saving - options.target_saving) ** 2
        randomness = options.randomness_weight * (options.target_entropy_bits - entropy).clamp(min=0)
        loss = fidelity + usage + randomness
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return {
            "divergence": fidelity.item(),
            "agreement": agreement(scores.detach(), target).mean().item(),
            "saving": saving.item(),
            "entropy": entropy.item(),
        }

    return Phase("joint", steps, {"student": student, "policy": policy, "optimizer": optimizer}, step)
