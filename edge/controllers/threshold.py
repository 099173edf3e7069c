"""What controllers with a threshold at every exit have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from edge.controllers.base import Controller, refuse_single_exit
from edge.network import Network
from edge.randomness import GateRandom

PER_EXIT = {"help": "one per exit but the last, - for an exit not to ask", "example": "thresholds=0.9;-;0.95"}
CALIBRATED = {"help": "thresholds that edgebench calibrate found, by name", "example": "calibrated=half-time"}
FALLBACK = {"help": "whose answer counts when no exit was sure enough", "example": "fallback=most-confident"}


@dataclass
class Thresholded(Controller):
    """Stops at the first exit whose measure reaches its threshold, and asks no exit that has none.

    One threshold for all exits, one for each, or those of a calibration.  Where no exit is sure enough the last one
    answers, or the one of all asked that came nearest (Kaya et al. 2019 do that); either way the whole network ran.
    """

    threshold: float | None = None
    thresholds: str | None = field(default=None, metadata=PER_EXIT)
    calibrated: str | None = field(default=None, metadata=CALIBRATED)
    fallback: Literal["last", "most-confident"] = field(default="last", metadata=FALLBACK)

    name: ClassVar[str]
    # Whether a small value is a sure one.
    falls: ClassVar[bool] = False
    highest: ClassVar[float] = 1.0

    @abstractmethod
    def measure(self, scores: NDArray[np.float32]) -> float:
        """How sure (or, if it `falls`, unsure) an exit is of its scores (classes,)."""

    def __post_init__(self) -> None:
        given = [each for each in (self.threshold, self.thresholds, self.calibrated) if each is not None]
        if len(given) != 1:
            raise ValueError(
                f"{self.name} takes a threshold, thresholds, or the name of calibrated ones, and one of these only, "
                f"for example {self.name}:{self.highest * 0.9:.1f}"
            )
        limits = _parsed(self.thresholds, self.name) if self.thresholds is not None else [self.threshold]
        for limit in limits:
            if limit is not None and not 0.0 <= limit <= self.highest:
                raise ValueError(f"a threshold of {self.name} lies from 0 to {self.highest:g}, and {limit:g} does not")

    def attach(self, network: Network, random: GateRandom) -> None:
        super().attach(network, random)
        refuse_single_exit(network, self.name)
        self._limits = self._limits_for(network)
        self.start()

    @property
    def limits(self) -> tuple[float | None, ...]:
        """The threshold of every exit but the last, None for one that is not asked; known once it is attached."""
        return tuple(self._limits)

    def start(self) -> None:
        self.confidences = self._found = dict[int, float]()
        self._fired = False

    def wants(self, exit_index: int) -> bool:
        return self._limits[exit_index] is not None

    def at_exit(self, exit_index: int, scores: NDArray[np.float32]) -> bool:
        limit = self._limits[exit_index]
        if limit is None:
            return False
        value = self._found[exit_index] = self.measure(scores)
        self._fired = value <= limit if self.falls else value >= limit
        return self._fired

    def at_end(self, exit_index: int, scores: NDArray[np.float32]) -> int:
        if self._fired or self.fallback == "last":
            return exit_index
        found = self._found
        if exit_index not in found:
            found[exit_index] = self.measure(scores)
        return min(found, key=found.__getitem__) if self.falls else max(found, key=found.__getitem__)

    def _limits_for(self, network: Network) -> list[float | None]:
        exits = len(network.exits) - 1
        if self.calibrated is not None:
            calibration = network.calibrations.get(self.calibrated)
            if calibration is None or calibration.controller != self.name:
                own = [name for name, each in network.calibrations.items() if each.controller == self.name]
                known = f"it has {', '.join(own)}" if own else "find some with edgebench calibrate"
                raise ValueError(f"this network has no thresholds {self.calibrated!r} for {self.name}: {known}")
            return list(calibration.thresholds)
        if self.thresholds is None:
            return [self.threshold] * exits
        limits = _parsed(self.thresholds, self.name)
        if len(limits) != exits:
            raise ValueError(
                f"{self.name} was given {len(limits)} thresholds, and this network has {exits} exits before its last: "
                "give one for each"
            )
        return limits


def _parsed(thresholds: str, name: str) -> list[float | None]:
    try:
        return [None if part.strip() == "-" else float(part) for part in thresholds.split(";")]
    except ValueError:
        raise ValueError(
            f"{name} cannot use thresholds={thresholds}: write numbers or - with semicolons between them, for example "
            f"{name}:{PER_EXIT['example']}"
        ) from None
