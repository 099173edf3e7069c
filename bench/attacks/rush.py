"""Rush: the opposite of a slowdown, an early exit that is sure and wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.attacks.aimed import Aimed, several_exits
from bench.attacks.gradients import Objective
from bench.attacks.target import Outputs, Target


@dataclass(frozen=True)
class Rush(Aimed):
    """Makes exit `exit` (the first) as sure as can be of the best wrong class: `rush:eps=8/255,steps=30`."""

    exit: int = field(default=0, metadata={"help": "the exit that should stop, counted from 0", "example": "0"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.exit < 0:
            raise ValueError(f"exit is counted from 0, and is not {self.exit}; for example exit=0")

    def objectives(self, target: Target, images: Tensor, labels: Tensor) -> Sequence[Objective]:
        def sure_and_wrong(outputs: Outputs) -> Tensor:
            early = several_exits(target, outputs.scores)
            if self.exit >= len(early):
                raise ValueError(f"exit={self.exit} is none to stop early at: those are 0 to {len(early) - 1}")
            shares = early[self.exit].log_softmax(1)
            return shares.scatter(1, labels[outputs.rows].unsqueeze(1), -torch.inf).amax(1)

        return (sure_and_wrong,)
