"""What a dynamic network consists of: stages, gates, exits, routes, and the segments between two decisions.

A frame's way through a network is a chain of segments; a controller decides only between segments.  GuSoDrop is the
policy, then one segment to the end.  An early-exit network is segment, exit?, segment, exit? ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

StageKind = Literal["stem", "block", "bypass", "head", "gate", "policy"]

# A route says which gates were open, first block first, one character a gate: "11010111".
Route = str


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name and shape (NCHW or NC, batch 1) of a float32 tensor at the boundary of a stage."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """The smallest piece that is exported on its own: one input, one output.

    `macs` are multiply-accumulates of convolutions and matrix products; `sha256` is that of the file.
    """

    id: str
    kind: StageKind
    file: str
    input: TensorSpec
    output: TensorSpec
    macs: int
    parameters: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Gate:
    """A place where stage `block` may be dropped; `bypass` runs instead (None: the identity).

    `decision` is a stage that reads what the block would read and gives its keep-probability, shape (1, 1); None where
    the gate has no network of its own.
    """

    block: str
    bypass: str | None
    decision: str | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """A place where the network may stop: `head` turns the output of stage `after` into class scores."""

    after: str
    head: str


@dataclass(frozen=True, slots=True)
class Segment:
    """Everything between two decision points for one route: the unit that a backend compiles and runs.

    `stages` are run in order on the input, then `head` (of an exit, or the decision network of a gate) on what they
    give: the scores that the next decision is made from, or that are the answer.  With `continues`, the features behind
    the last of `stages` come out too, for the next segment.  `stages` may be empty: the policy stands on the input, and
    an identity bypass leaves nothing to run.
    """

    stages: tuple[str, ...]
    head: str
    continues: bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds of a controller for every exit but the last, found on frames set aside for that.

    None is an exit that is not asked.  `more` says how they were found, as JSON.
    """

    controller: str
    thresholds: tuple[float | None, ...]
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A staged network.

    `order` is the trunk (stem and blocks, first to last); gates and exits are in trunk order, and the last exit stands
    behind the last stage.  `policy` is the stage that gives all keep-probabilities at once, shape (1, gates), or None.
    `calibrations` are thresholds that were found for this network, by name.
    """

    stages: dict[str, Stage]
    order: tuple[str, ...]
    gates: tuple[Gate, ...]
    exits: tuple[Exit, ...]
    policy: str | None
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    _gate_of: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_gate_of", {gate.block: index for index, gate in enumerate(self.gates)})

    @property
    def full_route(self) -> Route:
        """The route that keeps every block."""
        return "1" * len(self.gates)

    @cached_property
    def exit_positions(self) -> tuple[int, ...]:
        """For each exit, how many trunk stages stand before it."""
        return tuple(self.order.index(exit_.after) + 1 for exit_ in self.exits)

    @cached_property
    def gate_positions(self) -> tuple[int, ...]:
        """For each gate, how many trunk stages stand before its block."""
        return tuple(self.order.index(gate.block) for gate in self.gates)

    def check_route(self, route: Route) -> Route:
        """The route itself, if it has one bit per gate.

        Raises:
            ValueError: it has not.
        """
        if len(route) != len(self.gates) or set(route) - {"0", "1"}:
            example = (self.full_route[:-1] + "0") if self.gates else "(empty: this network has no gates)"
            raise ValueError(
                f"route {route!r} does not fit: this network has {len(self.gates)} gates, one bit each, first block "
                f"first, for example {example}"
            )
        return route

    def segment(self, route: Route, start: int, exit_index: int) -> Segment:
        """The segment from trunk position `start` to exit `exit_index`, its head included."""
        stages = self._between(route, start, self.exit_positions[exit_index])
        return Segment(stages, self.exits[exit_index].head, exit_index + 1 < len(self.exits))

    def segment_to_gate(self, route: Route, start: int, gate: int) -> Segment:
        """The segment from trunk position `start` to a gate with a decision network, which is its head."""
        decision = self.gates[gate].decision
        if decision is None:
            raise ValueError(f"gate {gate} of this network has no decision network")
        return Segment(self._between(route, start, self.gate_positions[gate]), decision, True)

    def _between(self, route: Route, start: int, stop: int) -> tuple[str, ...]:
        """What runs of the trunk from one position to another."""
        stages = []
        for stage in self.order[start:stop]:
            gate = self._gate_of.get(stage)
            kept = stage if gate is None or route[gate] == "1" else self.gates[gate].bypass
            if kept is not None:
                stages.append(kept)
        return tuple(stages)

    def policy_segment(self) -> Segment:
        """The decision network as a segment; its scores are the keep-probabilities."""
        if self.policy is None:
            raise ValueError("this network has no policy: choose a controller that needs none, such as fixed or random")
        return Segment((), self.policy, False)

    def macs(self, route: Route, exit_index: int = -1) -> int:
        """Multiply-accumulates of one path: trunk and the head of the exit taken, without policy and gate networks."""
        exit_index %= len(self.exits)
        segment = self.segment(route, 0, exit_index)
        return sum(self.stages[stage].macs for stage in segment.stages) + self.stages[self.exits[exit_index].head].macs
