"""Learning to live without blocks: routes against the full network's answers, without labels.

A network trained in the ordinary way breaks when blocks are dropped, which leaves a policy nothing to choose from.
Here every image runs a few routes, each pulled towards the teacher's answer; where the routes come from (at random,
from a finished policy, always the same) is the phase's argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from export.networks.resnet import GatedResNet
from export.training.augment import Augment, Augmentation
from export.training.batches import Batches
from export.training.examples import Examples
from export.training.loop import Phase
from export.training.routes import RouteDraw
from export.training.schedule import one_cycle


@dataclass(frozen=True, slots=True)
class DistilOptions:
    """`routes_per_image` routes are drawn for each of the `batch` images, which the teacher sees once."""

    batch: int
    peak_rate: float
    routes_per_image: int = 2
    augmentation: Augment = field(default_factory=Augmentation)
    size: int = 32


def divergence(scores: Tensor, teacher_scores: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence KL(teacher || student) in nats, from scores (batch, classes)."""
    return F.kl_div(scores.log_softmax(1), teacher_scores.log_softmax(1), reduction="batchmean", log_target=True)


def agreement(scores: Tensor, teacher_scores: Tensor) -> Tensor:
    """1.0 where both answer the same class, else 0.0; (batch,)."""
    return (scores.argmax(1) == teacher_scores.argmax(1)).float()


def distil_phase(
    name: str,
    student: GatedResNet,
    teacher: GatedResNet,
    optimizer: torch.optim.Optimizer,
    examples: Examples,
    draw: RouteDraw,
    *,
    steps: int,
    seed: int,
    options: DistilOptions,
) -> Phase:
    """The student on the routes of `draw`; `teacher` is the full network with its weights frozen.

    Gates are drawn per image, so that batch-norm statistics are those of the mixture that will run.
    """
    batches = Batches(examples, options.batch, seed, name, options.size, options.augmentation)
    teacher.eval()

    def step(index: int) -> Mapping[str, float]:
        images, _, generator = batches[index]
        for group in optimizer.param_groups:
            group["lr"] = one_cycle(index, steps, options.peak_rate)
        with torch.no_grad():
            target = teacher(images).repeat(options.routes_per_image, 1)
        # Repeating keeps the plain layout; convolutions want the other.
        images = images.repeat(options.routes_per_image, 1, 1, 1).contiguous(memory_format=torch.channels_last)
        gates = draw(images, generator)
        student.train()
        scores = student.forward_sparse(images, gates)
        loss = divergence(scores, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return {
            "loss": loss.item(),
            "agreement": agreement(scores.detach(), target).mean().item(),
            "kept": gates.float().mean().item(),
        }

    return Phase(name, steps, {"student": student, "optimizer": optimizer}, step)
