"""What the networks with exits are built on: a stem, blocks in a row, and the head of the last exit."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn


class Backbone(nn.Module):
    """A static network in pieces: images (batch, 3, size, size) float in [0, 1] -> scores (batch, classes)."""

    def __init__(self, stem: nn.Module, blocks: Iterable[nn.Module], head: nn.Module, size: int) -> None:
        super().__init__()
        self.stem = stem
        self.blocks = nn.ModuleList(blocks)
        self.head = head
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        scores: Tensor = self.head(x)
        return scores
