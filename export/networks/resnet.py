"""ResNet18 for 32 px images, with a gate at every residual block."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from export.networks.normalise import Normalise


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, section 3.3).

    The shortcut is the identity, or a 1x1 convolution where the shape changes.  `kept` is the ordinary block;
    `bypassed` is what remains when the gate is closed: the rectified shortcut alone.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    @property
    def has_projection(self) -> bool:
        return not isinstance(self.shortcut, nn.Identity)

    def kept(self, x: Tensor) -> Tensor:
        return torch.relu(self.shortcut(x) + self.body(x))

    def bypassed(self, x: Tensor) -> Tensor:
        # The input of a block is already rectified, so the identity shortcut needs no ReLU of its own.
        return torch.relu(self.shortcut(x)) if self.has_projection else x

    def mixed(self, x: Tensor, rows: Tensor) -> Tensor:
        """`kept` for the images in `rows` (indices into the batch), `bypassed` for the others."""
        if len(rows) == len(x):
            return self.kept(x)
        # Once for both: a batch norm in training must see every image, and see it once.
        shortcut = self.shortcut(x)
        after = torch.relu(shortcut) if self.has_projection else shortcut
        if len(rows) == 0:
            return after
        kept = torch.relu(shortcut.index_select(0, rows) + self.body(x.index_select(0, rows)))
        return after.index_copy(0, rows, kept)

    def forward(self, x: Tensor) -> Tensor:
        return self.kept(x)


class Head(nn.Module):
    """Global average pooling and one linear layer: features (batch, channels, h, w) -> scores (batch, classes)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.linear(x.mean((2, 3)))
        return scores


class GatedResNet(nn.Module):
    """A residual network whose blocks can be dropped one by one.

    Images are (batch, 3, 32, 32) float in [0, 1]; scores are (batch, classes).  Three ways through the gates:
    `forward` runs one route for the whole batch and skips what is dropped; `forward_sparse` takes a boolean gate per
    image and block and skips too; `forward_soft` takes real-valued gates, runs everything, and is differentiable in
    the gates.  For gates of 0 and 1 the three agree.
    """

    def __init__(self, widths: Sequence[int], blocks_per_width: Sequence[int], classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            Normalise(),
            nn.Conv2d(3, widths[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        blocks: list[BasicBlock] = []
        channels = widths[0]
        for level, (width, count) in enumerate(zip(widths, blocks_per_width, strict=True)):
            for index in range(count):
                blocks.append(BasicBlock(channels, width, 2 if level > 0 and index == 0 else 1))
                channels = width
        self.blocks = nn.ModuleList(blocks)
        self.head = Head(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def gates(self) -> int:
        return len(self.blocks)

    def residual_blocks(self) -> list[BasicBlock]:
        return [block for block in self.blocks if isinstance(block, BasicBlock)]

    def forward(self, x: Tensor, route: Sequence[bool] | None = None) -> Tensor:
        """Scores of one route (first block first; all kept by default) for every image of the batch."""
        x = self.stem(x)
        for index, block in enumerate(self.residual_blocks()):
            x = block.kept(x) if route is None or route[index] else block.bypassed(x)
        scores: Tensor = self.head(x)
        return scores

    def forward_sparse(self, x: Tensor, gates: Tensor) -> Tensor:
        """Scores for a boolean gate per image and block, (batch, gates); only kept bodies are computed."""
        x = self.stem(x)
        for index, block in enumerate(self.residual_blocks()):
            x = block.mixed(x, gates[:, index].nonzero()[:, 0])
        scores: Tensor = self.head(x)
        return scores

    def forward_soft(self, x: Tensor, gates: Tensor) -> Tensor:
        """Scores for real-valued gates in [0, 1], (batch, gates): relu(shortcut + gate * body) at every block."""
        x = self.stem(x)
        for index, block in enumerate(self.residual_blocks()):
            gate = gates[:, index].view(-1, 1, 1, 1)
            x = torch.relu(block.shortcut(x) + gate * block.body(x))
        scores: Tensor = self.head(x)
        return scores


def resnet18(classes: int = 43) -> GatedResNet:
    """ResNet18 with the 3x3 stem used for 32 px images: 8 blocks, 555.4 M MACs, 11.2 M parameters."""
    return GatedResNet((64, 128, 256, 512), (2, 2, 2, 2), classes)
