"""What an attack raises: losses per image, from scores (rows, classes) and labels (rows,)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

LossName = Literal["ce", "dlr", "margin"]
Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """-log softmax of the label, (rows,)."""
    return F.cross_entropy(scores, labels, reduction="none")


def margin(scores: Tensor, labels: Tensor) -> Tensor:
    """The best other score minus the label's, (rows,): above 0 where the label has lost (Carlini & Wagner 2017)."""
    mine = scores.gather(1, labels.unsqueeze(1)).squeeze(1)
    others = scores.scatter(1, labels.unsqueeze(1), -torch.inf)
    return others.amax(1) - mine


def dlr(scores: Tensor, labels: Tensor) -> Tensor:
    """The margin over the distance from the first to the third score, (rows,): no scale of the scores hides it
    (Croce & Hein 2020, equation 6).  With two classes there is no third, and the margin itself is given."""
    if scores.shape[1] < 3:
        return margin(scores, labels)
    top = scores.topk(3, dim=1).values
    mine = scores.gather(1, labels.unsqueeze(1)).squeeze(1)
    other = torch.where(scores.argmax(1) == labels, top[:, 1], top[:, 0])
    return -(mine - other) / (top[:, 0] - top[:, 2] + 1e-12)


LOSSES: Mapping[LossName, Loss] = MappingProxyType({"ce": cross_entropy, "dlr": dlr, "margin": margin})
