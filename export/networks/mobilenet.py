"""MobileNet (Howard et al. 2017) as Kaya et al. 2019 use it: 13 depthwise separable blocks, the first stride 1."""

from __future__ import annotations

from torch import nn

from export.networks.backbone import Backbone
from export.networks.normalise import Normalise
from export.networks.resnet import Head

# (channels, stride) of each block.
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
# Block indices of the exits of Kaya et al. 2019 ("Shallow-Deep Networks").
PUBLISHED_EXITS = (2, 4, 6, 8, 11)


def mobilenet(classes: int, size: int = 32, width: float = 1.0) -> Backbone:
    """46.4 M MACs and 3.2 M parameters with 10 classes at 32 px; `width` multiplies the channels."""
    channels = round(32 * width)
    stem = nn.Sequential(Normalise(), *_convolution(3, channels, 3, 1))
    blocks: list[nn.Module] = []
    for full_width, stride in _BLOCKS:
        wider = round(full_width * width)
        blocks.append(
            nn.Sequential(
                *_convolution(channels, channels, 3, stride, groups=channels), *_convolution(channels, wider, 1, 1)
            )
        )
        channels = wider
    return Backbone(stem, blocks, Head(channels, classes), size)


def half_mobilenet(classes: int, size: int = 32, width: float = 1.0) -> Backbone:
    """Half the channels: what a network with exits must beat that takes about a quarter of MobileNet's time."""
    return mobilenet(classes, size, width / 2)


def _convolution(channels_in: int, channels_out: int, kernel: int, stride: int, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    ]
