"""Learning to live without blocks: random depth against the full network's answers, without labels.

A network trained in the ordinary way breaks when blocks are dropped, which leaves a policy nothing to choose from.
Here every step draws how deep to go, then a route, and pulls the route's answer towards the teacher's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from export.networks.resnet import GatedResNet
from export.training.augment import Augmentation
from export.training.examples import BatchOrder, Examples
from export.training.loop import Phase, step_generator
from export.training.schedule import one_cycle
from export.training.supervised import random_route


@dataclass(frozen=True, slots=True)
class DistilOptions:
    """`keep_low` and `keep_high` bound the keep-probability that a step draws for all its gates."""

    batch: int
    peak_rate: float
    keep_low: float = 0.45
    keep_high: float = 0.95
    size: int = 32


def divergence(scores: Tensor, teacher_scores: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence KL(teacher || student) in nats, from scores (batch, classes)."""
    return F.kl_div(scores.log_softmax(1), teacher_scores.log_softmax(1), reduction="batchmean", log_target=True)


def agreement(scores: Tensor, teacher_scores: Tensor) -> Tensor:
    """1.0 where both answer the same class, else 0.0; (batch,)."""
    return (scores.argmax(1) == teacher_scores.argmax(1)).float()


def random_depth_phase(
    student: GatedResNet,
    teacher: GatedResNet,
    optimizer: torch.optim.Optimizer,
    examples: Examples,
    *,
    steps: int,
    seed: int,
    options: DistilOptions,
) -> Phase:
    """The phase "depth"; `teacher` is the full network with its weights frozen."""
    order = BatchOrder(len(examples), options.batch, seed)
    augment = Augmentation()
    teacher.eval()

    def step(index: int) -> Mapping[str, float]:
        generator = step_generator(seed, "depth", index)
        images, _ = examples.batch(order.rows(index))
        images = augment(images, options.size, generator).contiguous(memory_format=torch.channels_last)
        for group in optimizer.param_groups:
            group["lr"] = one_cycle(index, steps, options.peak_rate)
        with torch.no_grad():
            target = teacher(images)
        depth = options.keep_low + (options.keep_high - options.keep_low) * torch.rand(1, generator=generator)
        route = random_route(depth.expand(student.gates), generator)
        student.train()
        scores = student(images, route)
        loss = divergence(scores, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return {
            "loss": loss.item(),
            "agreement": agreement(scores.detach(), target).mean().item(),
            "kept": sum(route) / len(route),
        }

    return Phase("depth", steps, {"student": student, "optimizer": optimizer}, step)
