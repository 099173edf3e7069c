"""A printed patch that works from every frame of an approach (Brown et al. 2017; Athalye et al. 2018, "Synthesizing
Robust Adversarial Examples"; Eykholt et al. 2018 for signs)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import torch
from torch import Tensor

from bench.attacks.aimed import grouped
from bench.attacks.base import Attack, Crafted
from bench.attacks.gates import parse_draws, parse_way
from bench.attacks.gradients import Gradients
from bench.attacks.losses import LOSSES, LossName
from bench.attacks.output import parse_output
from bench.attacks.pose import Views, composed
from bench.attacks.steps import Steps
from bench.attacks.target import Outputs, Target
from bench.attacks.white_box import check_count

_TEXELS = 16
_STEP = Fraction(8, 255)
# Frames on which a patch is moved at a time.
_TOGETHER = 128


@dataclass(frozen=True)
class Patch(Attack):
    """One patch for each class, or one for all: `patch:size=0.3,steps=200,views=4`.

    Every step averages the loss over `views` drawn poses of every frame.  What is delivered is an approach: along the
    frames of a track, in their order, the patch grows and turns away; frames without one are one track for each patch.
    Nothing outside the patch changes; inside there is no bound but [0, 1].  The spec's shares are of the frame's side:
    `size`, `row` and `column` of the middle.
    """

    size: float = field(default=0.3, metadata={"help": "side, share of the frame's, 0.05 to 1", "example": "0.3"})
    row: float = field(default=0.65, metadata={"help": "middle from the top, 0 to 1", "example": "0.65"})
    column: float = field(default=0.5, metadata={"help": "middle from the left, 0 to 1", "example": "0.5"})
    shape: Literal["square", "disc"] = "square"
    share: Literal["class", "all"] = "class"
    scale: float = field(default=0.2, metadata={"help": "its side varies by this share, 0 to 0.9", "example": "0.2"})
    perspective: float = field(default=0.2, metadata={"help": "its corners by this share, 0 to 0.4", "example": "0.2"})
    light: float = field(default=0.3, metadata={"help": "its light by this share, 0 to 0.9", "example": "0.3"})
    steps: int = field(default=200, metadata={"help": "steps, 1 to 100000", "example": "200"})
    views: int = field(default=4, metadata={"help": "poses a step averages over, 1 to 1000", "example": "4"})
    loss: LossName = "ce"
    eot: str = field(default="1", metadata={"help": "draws of the gates for each pose, or exact", "example": "4"})
    gates: str = field(default="straight-through", metadata={"help": "the way through the gates, or route:BITS"})
    output: str = field(default="last", metadata={"help": "last, exit:K, all or taken:THRESHOLD", "example": "all"})

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        check_count("views", self.views, 1000)
        bounds = {"size": (0.05, 1.0), "row": (0, 1), "column": (0, 1), "scale": (0, 0.9), "light": (0, 0.9)}
        for name, (low, high) in {**bounds, "perspective": (0, 0.4)}.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"{name} is a share from {low:g} to {high:g}, not {getattr(self, name):g}; for example {name}=0.3"
                )
        parse_draws(self.eot)
        parse_way(self.gates)
        parse_output(self.output)

    @property
    def whole(self) -> bool:
        return True

    @property
    def looks(self) -> int:
        return self.steps * self.views

    def craft(self, target: Target, images: Tensor, labels: Tensor, generator: torch.Generator) -> Crafted:
        """`images` with the patch on them, those of each patch in the order of an approach; see `Attack.craft`."""
        return self.craft_along(target, images, labels, torch.full_like(labels, -1), generator)

    def craft_along(
        self, target: Target, images: Tensor, labels: Tensor, tracks: Tensor, generator: torch.Generator
    ) -> Crafted:
        """`images` with the patch on them, an approach along each track; see `Attack.craft_along`."""
        groups = grouped(labels, self.share)
        patches = torch.rand(int(groups.max()) + 1, 3, _TEXELS, _TEXELS, dtype=images.dtype, generator=generator)
        mask, views = _mask(self.shape), self._views
        parts = torch.split(torch.randperm(len(images), generator=generator), _TOGETHER)
        asked = [self._gradients(target, labels[rows], generator) for rows in parts]
        steps = Steps(target.journal, generator, asked)
        begin, (patches, momentum) = steps.begin(patches, torch.zeros_like(patches))
        for index in range(begin, self.steps):
            rows, gradients = parts[index % len(parts)], asked[index % len(parts)]
            shown = patches.requires_grad_()
            slope = torch.zeros_like(patches)
            for _ in range(self.views):
                seen = composed(images[rows], shown[groups[rows]], mask, views.drawn(len(rows), generator))
                uphill = gradients.at(seen.detach()).gradient
                slope += torch.autograd.grad(seen, shown, uphill)[0]
            # The sum of all gradients so far, as in MI-FGSM: poses are few, and one of them alone leads astray.
            mean = slope.abs().mean((1, 2, 3), keepdim=True).clamp(min=torch.finfo(slope.dtype).tiny)
            momentum = slope / mean + momentum
            patches = (patches.detach() + float(_STEP) * momentum.sign()).clamp(0.0, 1.0)
            steps.taken(index, patches, momentum)
        positions = along(torch.where(tracks < 0, groups, len(images) + tracks))
        delivered = composed(images, patches[groups], mask, self._views.passing(positions, generator))
        zero, non_finite = torch.zeros(2, len(images), dtype=torch.int32)
        for rows, gradients in zip(parts, asked, strict=True):
            if gradients.zero is not None and gradients.non_finite is not None:
                zero[rows], non_finite[rows] = gradients.zero, gradients.non_finite
        return Crafted(delivered, zero, non_finite, max(gradients.spent for gradients in asked))

    @property
    def _views(self) -> Views:
        return Views(self.size, self.row, self.column, self.scale, self.perspective, self.light)

    def _gradients(self, target: Target, labels: Tensor, generator: torch.Generator) -> Gradients:
        output, loss = parse_output(self.output), LOSSES[self.loss]

        def lost(outputs: Outputs) -> Tensor:
            chosen: Sequence[Tensor] = output.chosen(outputs.scores)
            return torch.stack([loss(scores, labels[outputs.rows]) for scores in chosen]).mean(0)

        way, draws = parse_way(self.gates), parse_draws(self.eot)
        return Gradients(target, lost, way=way, draws=draws, generator=generator)


def along(groups: Tensor) -> Tensor:
    """How far along its own group each image is, (n,) from 0 for the first to 1 for the last; 1/2 for an only one."""
    positions = torch.full((len(groups),), 0.5)
    for group in set(groups.tolist()):
        rows = (groups == group).nonzero()[:, 0]
        if len(rows) > 1:
            positions[rows] = torch.linspace(0, 1, len(rows))
    return positions


def _mask(shape: Literal["square", "disc"]) -> Tensor:
    """Where the patch is printed, (texels, texels) of 1 and 0."""
    if shape == "square":
        return torch.ones(_TEXELS, _TEXELS)
    middle = torch.linspace(-1, 1, _TEXELS)
    return (middle.view(-1, 1).square() + middle.square() <= 1.0).float()
