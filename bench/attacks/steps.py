"""The steps of an attack on one batch, told to the journal of its target."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.attacks.gradients import Gradients
from bench.attacks.journal import Journal, State


class Steps:
    """The steps of one batch, whose `gradients` draw from `generator`.

    What is gone on with ends in the same bytes as what was never stopped: the state is all that a step changes.
    """

    def __init__(self, journal: Journal, generator: torch.Generator, gradients: Sequence[Gradients]) -> None:
        self._journal, self._generator, self._gradients = journal, generator, gradients

    def begin(self, *moved: Tensor) -> tuple[int, tuple[Tensor, ...]]:
        """The step to begin with, and what steps move as it is then: as given, or as the journal has it."""
        state = self._journal.found()
        if state is None:
            return 0, moved
        self._generator.set_state(state["generator"])
        for number, gradients in enumerate(self._gradients):
            prefix = f"gradients-{number}-"
            gradients.set_counts(
                {name.removeprefix(prefix): count for name, count in state.items() if name.startswith(prefix)}
            )
        return int(state["steps"]), tuple(state[f"moved-{number}"] for number in range(len(moved)))

    def taken(self, index: int, *moved: Tensor) -> None:
        """Step `index` was taken, and moved these."""

        def state() -> State:
            counts = {
                f"gradients-{number}-{name}": count
                for number, gradients in enumerate(self._gradients)
                for name, count in gradients.counts().items()
            }
            tensors = {f"moved-{number}": tensor for number, tensor in enumerate(moved)}
            return {"steps": torch.tensor(index + 1), "generator": self._generator.get_state(), **tensors, **counts}

        self._journal.leave(state)
