"""One change for a whole stream that makes answers wrong (Moosavi-Dezfooli et al. 2017), found by gradients (Shafahi et
al. 2020, "Universal Adversarial Training", algorithm 2, without its clipping of the loss)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.attacks.aimed import Aimed, Share
from bench.attacks.gradients import Objective
from bench.attacks.losses import LOSSES, LossName
from bench.attacks.output import parse_output
from bench.attacks.target import Outputs, Target


@dataclass(frozen=True)
class Universal(Aimed):
    """The same change on every image, or on every image of a class: `universal:eps=8/255,steps=100`."""

    steps: int = field(default=100, metadata={"help": "steps, 1 to 100000", "example": "100"})
    share: Share = "all"
    loss: LossName = "ce"
    output: str = field(
        default="last", metadata={"help": "last, exit:K, all or taken:THRESHOLD", "example": "taken:0.9"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_output(self.output)

    def objectives(self, target: Target, images: Tensor, labels: Tensor) -> Sequence[Objective]:
        output, loss = parse_output(self.output), LOSSES[self.loss]

        def lost(outputs: Outputs) -> Tensor:
            mine = labels[outputs.rows]
            losses = torch.stack([loss(scores, mine) for scores in output.chosen(outputs.scores)])
            return losses.mean(0)

        return (lost,)
