"""Exits for a backbone: heads behind some of its blocks (Kaya et al. 2019, "Shallow-Deep Networks")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.networks.backbone import Backbone
from export.networks.resnet import BasicBlock, GatedResNet

_SMALLEST_POOLED = 4


class InternalHead(nn.Module):
    """Mixed pooling and one linear layer: features (batch, channels, size, size) -> scores (batch, classes).

    The pooled map is a * max + (1 - a) * average with one learned a, over windows of size // 4; a map of less than
    4 x 4 goes to the linear layer as it is (Kaya et al. 2019, section 4.1; Lee et al. 2016).  Maps of another size, as
    in training on smaller images, are pooled to the same number of features.
    """

    def __init__(self, channels: int, size: int, classes: int) -> None:
        super().__init__()
        self.map = size // max(1, size // _SMALLEST_POOLED)
        self.mix = nn.Parameter(torch.rand(())) if size >= _SMALLEST_POOLED else None
        self.linear = nn.Linear(channels * self.map**2, classes)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.map:
            x = self._pooled(x)
        scores: Tensor = self.linear(x.flatten(1))
        return scores

    def _pooled(self, x: Tensor) -> Tensor:
        window, rest = divmod(x.shape[-1], self.map)
        if rest or window == 0:
            highest, average = F.adaptive_max_pool2d(x, self.map), F.adaptive_avg_pool2d(x, self.map)
        else:
            highest, average = F.max_pool2d(x, window), F.avg_pool2d(x, window)
        return average if self.mix is None else average + self.mix * (highest - average)


class EarlyExitNetwork(nn.Module):
    """A backbone that can stop behind the blocks in `exits`; the last exit is the backbone's own head.

    Images are (batch, 3, size, size) float in [0, 1].  Calling it gives the scores (batch, classes) of every exit,
    first to last.  Without `exits` it is the static network.

    Raises:
        ValueError: `exits` do not rise, or name a block that is not there or has no map to look at.
    """

    def __init__(self, backbone: Backbone | GatedResNet, exits: Sequence[int] = ()) -> None:
        super().__init__()
        self.backbone = backbone
        self.size = backbone.size if isinstance(backbone, Backbone) else 32
        self.exits = tuple(exits)
        shapes, classes = self._shapes()
        possible = [index for index, shape in enumerate(shapes[:-1]) if len(shape) == 4]
        if list(exits) != sorted(set(exits)) or not set(exits) <= set(possible):
            raise ValueError(
                f"exits {','.join(map(str, exits))} cannot be had: name blocks from {possible[0]} to {possible[-1]}, "
                "rising, for example 1,3,5"
            )
        self.heads = nn.ModuleList(InternalHead(shapes[index][1], shapes[index][-1], classes) for index in exits)

    @property
    def gates(self) -> int:
        return self.backbone.gates if isinstance(self.backbone, GatedResNet) else 0

    def forward(self, x: Tensor, gates: Tensor | None = None) -> list[Tensor]:
        """Scores of every exit; `gates` (batch, gates) bool says which blocks of which image are kept (None: all)."""
        heads = dict(zip(self.exits, self.heads, strict=True))
        scores: list[Tensor] = []
        x = self.backbone.stem(x)
        for index, block in enumerate(self.backbone.blocks):
            if gates is None:
                x = block(x)
            else:
                assert isinstance(block, BasicBlock), "only residual blocks have gates"
                x = block.mixed(x, gates[:, index].nonzero()[:, 0])
            if index in heads:
                scores.append(heads[index](x))
        return [*scores, self.backbone.head(x)]

    @torch.no_grad()
    def _shapes(self) -> tuple[list[torch.Size], int]:
        """The shape behind every block, for one image, and the number of classes."""
        training = self.backbone.training
        self.backbone.eval()
        x = self.backbone.stem(torch.zeros(1, 3, self.size, self.size))
        shapes = []
        for block in self.backbone.blocks:
            x = block(x)
            shapes.append(x.shape)
        classes = self.backbone.head(x).shape[1]
        self.backbone.train(training)
        return shapes, classes


# What can be trained by a recipe and exported: a network with gates, with exits, or with both.
StagedNetwork: TypeAlias = GatedResNet | EarlyExitNetwork
