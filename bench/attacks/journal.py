"""Where an attack leaves how far it has come within a batch, so that it can be gone on with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from torch import Tensor

State: TypeAlias = Mapping[str, Tensor]


class Journal:
    """Takes the state of an attack, and gives back that of a run before.  This one forgets."""

    def found(self) -> State | None:
        """The state that was left last, or None."""
        return None

    def leave(self, state: Callable[[], State]) -> None:
        """A step was taken; the state after it is asked for where it is kept."""
