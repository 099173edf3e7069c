"""Where segments are divided into links, each a session of its own, so that many routes need few sessions.

Eight gates make 256 routes.  A session for each costs 0.2 MB in ONNX Runtime itself, and in int8 the weights again,
which it packs for every session.  Divided once, after the fifth gate, it takes 32 + 8 sessions; a joint costs a frame
a few microseconds in float32, and about 30 in int8.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from edge.network import Network, Segment

# All sessions together may take this much more than one that runs every stage.
MEMORY_BYTES = 16 * 2**20
# Of a session without its weights; 0.1 to 0.3 MB were seen, by the number of operators.
SESSION_BYTES = 200_000
# More joints than this would cost more than they save.
_MOST_JOINTS = 4


@dataclass(frozen=True, slots=True)
class Link:
    """Stages that run in one session: a whole segment, or a part of it.

    A part that is not the last has no head.  With `continues` the features behind the last stage come out.
    """

    stages: tuple[str, ...]
    head: str | None
    continues: bool


class Spans:
    """The trunk divided at `joints`, which are places in its order: 3 lies before the fourth stage."""

    def __init__(self, network: Network, joints: tuple[int, ...]) -> None:
        self.joints = joints
        self._place = {stage: place for place, stage in enumerate(network.order)}
        self._place.update((gate.bypass, self._place[gate.block]) for gate in network.gates if gate.bypass is not None)
        self._place.update((exit_.head, self._place[exit_.after]) for exit_ in network.exits)
        # Like a head, the decision network of a gate stands on the stage before.
        self._place.update(
            (gate.decision, self._place[gate.block] - 1) for gate in network.gates if gate.decision is not None
        )

    def links(self, segment: Segment) -> list[Link]:
        """The segment in parts, in order; the head is in the last.

        A head is never joined to stages of another span: the sessions of that span would all be there twice.
        """
        parts: dict[int, list[str]] = {}
        for stage in segment.stages:
            parts.setdefault(self._span(stage), []).append(stage)
        parts.setdefault(self._span(segment.head), [])
        *others, last = (tuple(part) for part in parts.values())
        return [
            *(Link(part, None, True) for part in others),
            Link(last, segment.head, segment.continues and bool(last)),
        ]

    def _span(self, stage: str) -> int:
        # A policy stands on the image.
        return bisect_right(self.joints, self._place.get(stage, 0))


def divide(network: Network, packed_bytes: Mapping[str, int], memory_bytes: int = MEMORY_BYTES) -> Spans:
    """The fewest joints with which all routes together fit into memory, at the smallest tensors.

    Args:
        network: its exits are not counted, as every one of them adds as many sessions.
        packed_bytes: what a session keeps of each stage's weights for itself.
        memory_bytes: what all sessions may take beyond one with every block kept.
    """
    once = sum(packed_bytes.get(stage, 0) for stage in network.order)
    best: tuple[int, ...] = ()
    for count in range(_MOST_JOINTS + 1):
        fitting = []
        for joints in combinations(range(1, len(network.order)), count):
            taken = sum(_bytes(network, packed_bytes, *span) for span in _spans(joints, len(network.order))) - once
            if taken <= memory_bytes:
                fitting.append((sum(_features(network, joint) for joint in joints), taken, joints))
            best = best if fitting else joints
        if fitting:
            best = min(fitting)[2]
            break
    return Spans(network, best)


def _spans(joints: tuple[int, ...], stages: int) -> Iterator[tuple[int, int]]:
    return zip((0, *joints), (*joints, stages), strict=True)


def _bytes(network: Network, packed_bytes: Mapping[str, int], start: int, stop: int) -> float:
    """What the sessions of all ways through a span take."""
    gates = {gate.block: gate for gate in network.gates}
    inside = [gates[stage] for stage in network.order[start:stop] if stage in gates]
    ways: int = 2 ** len(inside)
    packed = sum(
        packed_bytes.get(stage, 0) * (ways / 2 if stage in gates else ways) for stage in network.order[start:stop]
    )
    packed += sum(packed_bytes.get(gate.bypass, 0) * ways / 2 for gate in inside if gate.bypass is not None)
    return ways * SESSION_BYTES + packed


def _features(network: Network, joint: int) -> int:
    return math.prod(network.stages[network.order[joint - 1]].output.shape)
