"""ResNet56 and ResNet20 (He et al. 2016, section 4.2), with 1x1 projections where the shape changes."""

from __future__ import annotations

from torch import nn

from export.networks.backbone import Backbone
from export.networks.normalise import Normalise
from export.networks.resnet import BasicBlock, Head

_WIDTHS = (16, 32, 64)
# Block indices of the exits of ResNet56 in Kaya et al. 2019 ("Shallow-Deep Networks").
PUBLISHED_EXITS = (3, 7, 11, 15, 19, 23)


def resnet56(classes: int, size: int = 32, width: float = 1.0) -> Backbone:
    """27 blocks of two convolutions: 125.7 M MACs and 0.86 M parameters with 10 classes; `width` multiplies channels.

    Images of 64 px are halved by the stem, so that the blocks see the maps they see at 32 px.  The parameters are named
    as those of `GatedResNet` of the same widths.
    """
    return _resnet(9, classes, size, width)


def resnet20(classes: int, size: int = 32, width: float = 1.0) -> Backbone:
    """9 blocks: what a network with exits must beat that takes about a third of ResNet56's time."""
    return _resnet(3, classes, size, width)


def _resnet(blocks_per_width: int, classes: int, size: int, width: float) -> Backbone:
    channels = round(_WIDTHS[0] * width)
    stem = nn.Sequential(
        Normalise(),
        nn.Conv2d(3, channels, 3, size // 32, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )
    blocks: list[BasicBlock] = []
    for level, full_width in enumerate(_WIDTHS):
        wider = round(full_width * width)
        for index in range(blocks_per_width):
            blocks.append(BasicBlock(channels, wider, 2 if level > 0 and index == 0 else 1))
            channels = wider
    network = Backbone(stem, blocks, Head(channels, classes), size)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network
