"""What a bundle says about itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edge.network import Calibration, Network


@dataclass(frozen=True, slots=True)
class Task:
    """What is recognised: the data set's name ("gtsrb") and the name of every class, by index."""

    dataset: str
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A share of right answers and its 95% interval, in [0, 1]."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Measured:
    """How well the network that is stored does: on `n` images of `data`, mean over `draws` of the gates.

    `exits` is how right every exit is by itself, first to last, where there are several and that was measured; `int8`
    how right the network is in int8, by the same images and as many draws (None: not measured); `more` holds whatever
    else was, as JSON.
    """

    accuracy: Accuracy
    data: str
    n: int
    draws: int
    date: str
    more: dict[str, Any] = field(default_factory=dict)
    exits: tuple[Accuracy, ...] = ()
    int8: Accuracy | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the network comes from: command, seed, package versions, digests of the data; `more` is any other JSON."""

    command: str
    seed: int | None
    versions: dict[str, str]
    data: dict[str, str]
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Controllers:
    """The controller that is used when the user names none, as a spec, and calibrated thresholds by name."""

    default: str
    calibrated: dict[str, Calibration] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that a bundle says about itself.

    `input_shape` is (1, 3, height, width), float32 in [0, 1], RGB.
    """

    name: str
    task: Task
    input_shape: tuple[int, ...]
    network: Network
    controllers: Controllers
    measured: Measured | None
    provenance: Provenance
