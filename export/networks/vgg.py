"""VGG16 with batch norm (Simonyan and Zisserman 2015), with the small classifier of Kaya et al. 2019."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from export.networks.backbone import Backbone
from export.networks.normalise import Normalise

_CHANNELS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
_POOLED = (1, 3, 6, 9, 12)
# Block indices of the exits of Kaya et al. 2019 ("Shallow-Deep Networks").
PUBLISHED_EXITS = (1, 3, 5, 6, 8, 9)


class Halve(nn.Module):
    """2x2 max pooling; an odd map is rounded up, so that the network can be trained on smaller images."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2, ceil_mode=bool(x.shape[-1] % 2))


def vgg16(classes: int, size: int = 32, width: float = 1.0) -> Backbone:
    """13 convolutions and two hidden layers: 313.7 M MACs and 15.3 M parameters with 10 classes at 32 px.

    A block is one convolution with the pool behind it, or, the last, the first hidden layer; the stem only normalises,
    so that blocks count as in the literature.  `width` multiplies the channels.
    """
    blocks: list[nn.Module] = []
    channels = 3
    for index, full_width in enumerate(_CHANNELS):
        wider = round(full_width * width)
        block: list[nn.Module] = [
            nn.Conv2d(channels, wider, 3, 1, 1),
            nn.BatchNorm2d(wider),
            nn.ReLU(inplace=True),
        ]
        blocks.append(nn.Sequential(*block, Halve()) if index in _POOLED else nn.Sequential(*block))
        channels = wider
    # 512 and 512 units for 32 px, 2048 and 1024 for 64 px.
    flat = channels * (size // 32) ** 2
    hidden = channels * (size // 32)
    blocks.append(nn.Sequential(nn.Flatten(), nn.Linear(flat, flat), nn.ReLU(inplace=True), nn.Dropout(0.5)))
    head = nn.Sequential(nn.Linear(flat, hidden), nn.Dropout(0.5), nn.Linear(hidden, classes))
    network = Backbone(Normalise(), blocks, head, size)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01)
            nn.init.zeros_(module.bias)
    return network
