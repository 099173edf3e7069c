"""A backend that computes nothing: scores come from a table, and what ran is written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from edge.network import Exit, Gate, Network, Segment, Stage, TensorSpec

IMAGE = np.zeros((1, 3, 4, 4), np.float32)


def staged(exits: tuple[int, ...], blocks: int = 4, *, gated: bool = False, decided: tuple[int, ...] = ()) -> Network:
    """Stem and blocks; exits behind the blocks named (from 1), gate networks before the blocks in `decided`.

    Block 2 has a bypass of its own, the others the identity.
    """
    names = ["stem", *(f"block{index}" for index in range(1, blocks + 1))]
    kinds = ["stem", *["block"] * blocks]
    stages = {name: _stage(name, kind) for name, kind in zip(names, kinds, strict=True)}
    stages |= {f"head{index}": _stage(f"head{index}", "head") for index in range(len(exits))}
    stages |= {f"gate{index}": _stage(f"gate{index}", "gate") for index in decided}
    if gated:
        stages["bypass2"] = _stage("bypass2", "bypass")
        stages["policy"] = _stage("policy", "policy")
    gates = [
        Gate(f"block{index}", "bypass2" if index == 2 else None, f"gate{index}" if index in decided else None)
        for index in range(1, blocks + 1)
    ]
    return Network(
        stages,
        tuple(names),
        tuple(gates) if gated else (),
        tuple(Exit(f"block{after}", f"head{index}") for index, after in enumerate(exits)),
        "policy" if gated else None,
    )


def _stage(name: str, kind: str) -> Stage:
    return Stage(name, kind, f"{name}.onnx", TensorSpec("x", (1, 3, 4, 4)), TensorSpec("y", (1, 8)), 1, 1, "0" * 64)


@dataclass
class Scripted:
    """`answers` are the scores by head; `ran` is what the last frame ran, in order; `spent` is told of every stage."""

    answers: Mapping[str, np.ndarray]
    ran: list[str] = field(default_factory=list)
    compiled: list[Segment] = field(default_factory=list)
    spend: Callable[[str], None] = lambda stage: None

    def compile(self, segment: Segment) -> _Run:
        self.compiled.append(segment)
        return _Run(segment, self)

    def describe(self) -> dict[str, str]:
        return {"name": "scripted"}

    def close(self) -> None:
        pass


@dataclass
class _Run:
    segment: Segment
    backend: Scripted
    plan: str = "fused"

    def run(self, features):
        answer = np.asarray(self.backend.answers[self.segment.head], np.float32)
        if self.segment.head == "policy":
            self.backend.spend("policy")
            return None, answer
        first = isinstance(features, np.ndarray)
        if first:
            self.backend.ran.clear()
        # Features say where in the frame they come from: a segment given the wrong ones is found out.
        here = () if first else features
        for stage in (*self.segment.stages, self.segment.head):
            self.backend.ran.append(stage)
            self.backend.spend(stage)
        trunk = tuple(each for each in self.backend.ran if each.startswith(("stem", "block", "bypass")))
        assert (*here, *self.segment.stages) == trunk
        return (*here, *self.segment.stages), answer


def expected_trunk(route: str, blocks: int) -> list[str]:
    """The stages that a route runs up to a block."""
    ran = ["stem"]
    for index in range(1, blocks + 1):
        if not route or route[index - 1] == "1":
            ran.append(f"block{index}")
        elif index == 2:
            ran.append("bypass2")
    return ran
