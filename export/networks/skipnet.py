"""SkipNet (Wang et al. 2018): a residual network whose blocks each have a small network that says whether to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from export.networks.resnet import GatedResNet

_HIDDEN = 16
_INITIAL_KEEP_LOGIT = 2.0


class BlockGate(nn.Module):
    """The keep-probability of a block, (batch, 1), from the features (batch, channels, h, w) that the block would read.

    It looks at the mean of every channel, as the recurrent gate of SkipNet and that of ConvNet-AIG (Veit and Belongie
    2018) do: less than a thousandth of the block's MACs, where the feed-forward gate with a convolution of its own
    (SkipNet, section 3.1) takes an eighth.  A fresh one keeps its block, with probability 0.88.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(channels, _HIDDEN)
        self.keep = nn.Linear(_HIDDEN, 1)
        nn.init.zeros_(self.keep.weight)
        nn.init.constant_(self.keep.bias, _INITIAL_KEEP_LOGIT)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.keep(torch.relu(self.hidden(x.mean((2, 3))))))


class SkipNet(GatedResNet):
    """A `GatedResNet` with a `BlockGate` at every block; its own ways through ask them one after the other.

    Those of `GatedResNet` take their gates from outside.
    """

    def __init__(self, widths: Sequence[int], blocks_per_width: Sequence[int], classes: int) -> None:
        super().__init__(widths, blocks_per_width, classes)
        self.block_gates = nn.ModuleList(
            BlockGate(block.body[0].in_channels)  # type: ignore[arg-type]
            for block in self.residual_blocks()
        )

    def forward_drawn(self, x: Tensor, draw: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Scores (batch, classes) and keep-probabilities (batch, gates), differentiable in both.

        `draw` makes gates in [0, 1] of the probabilities of one block, both (batch, 1).  Every body runs.
        """
        x = self.stem(x)
        kept = []
        for block, gate in zip(self.residual_blocks(), self.block_gates, strict=True):
            kept.append(gate(x))
            x = torch.relu(block.shortcut(x) + draw(kept[-1])[..., None, None] * block.body(x))
        return self.head(x), torch.cat(kept, 1)

    @torch.no_grad()
    def decisions(self, x: Tensor) -> Tensor:
        """The gates that the runtime would open, (batch, gates) bool: a block runs if its gate says more than 0.5.

        As in use: batch norms are not moved, whatever mode the network is in, and it is left in that mode.
        """
        training = self.training
        self.eval()
        x = self.stem(x)
        opened = []
        for block, gate in zip(self.residual_blocks(), self.block_gates, strict=True):
            opened.append(gate(x)[:, 0] > 0.5)
            x = block.mixed(x, opened[-1].nonzero()[:, 0])
        self.train(training)
        return torch.stack(opened, 1)
