"""Stop when exits agree (Zhou et al. 2020, "BERT Loses Patience")."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.controllers.base import Controller, refuse_single_exit
from edge.network import Network
from edge.randomness import GateRandom


@dataclass
class Patience(Controller):
    """Stops once so many exits in a row have not changed the answer of the one before: `patience:2`.

    The first exit has none before it, so that patience 1 stops at the second exit at the earliest.
    """

    patience: int = field(metadata={"help": "exits in a row that agree with the one before", "example": "patience:2"})

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise ValueError(f"patience is a whole number from 1 on, not {self.patience}; for example patience:2")

    def attach(self, network: Network, random: GateRandom) -> None:
        super().attach(network, random)
        refuse_single_exit(network, "patience")

    def start(self) -> None:
        self._answer, self._agreed = -1, 0

    def wants(self, exit_index: int) -> bool:
        return True

    def at_exit(self, exit_index: int, scores: NDArray[np.float32]) -> bool:
        answer = int(scores.argmax())
        self._agreed = self._agreed + 1 if answer == self._answer else 0
        self._answer = answer
        return self._agreed >= self.patience
