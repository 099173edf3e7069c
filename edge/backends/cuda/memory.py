"""Where everything lies in the one allocation of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.backends.cuda.stages import CudaStage
from edge.network import Network, Segment

# TensorRT asks for 256; two cache lines more cost nothing.
ALIGNMENT_BYTES = 512
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Call:
    """One stage on the device: where it reads and where it writes."""

    stage: str
    source: int
    target: int


@dataclass(frozen=True, slots=True)
class Span:
    """A part of an allocation, in bytes."""

    start: int
    size: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Offsets into one allocation of `size_bytes`.

    `input` is the frame, and behind it one uniform number (float32) per gate.  `answers` holds the scores of every head
    (`scores`), the route as one int32 per gate, and the exit taken, at offsets from its start, so that one copy brings
    all of it to the host.  Between two stages features go back and forth between the two `turns`; behind a decision
    point they are `kept` by its head, so that a segment that was started too early spoils nothing.
    """

    size_bytes: int
    input: Span
    frame_bytes: int
    answers: Span
    scores: Mapping[str, Span]
    route: Span
    taken: Span
    turns: tuple[int, int]
    kept: Mapping[str, int]
    scratch: Span

    @property
    def uniforms(self) -> int:
        return self.input.start + _aligned(self.frame_bytes)

    def calls(self, segment: Segment, source: int, base: int, answers: int) -> tuple[tuple[Call, ...], int]:
        """What a segment enqueues in order, and where its features are then.

        Args:
            source: the address of its input.
            base: the address of the allocation.
            answers: the address that scores are written behind: in the allocation, or in mapped host memory.
        """
        calls, here = [], source
        for index, stage in enumerate(segment.stages):
            if segment.continues and index == len(segment.stages) - 1:
                target = base + self.kept[segment.head]
            else:
                first, second = (base + turn for turn in self.turns)
                target = second if here == first else first
            calls.append(Call(stage, here, target))
            here = target
        calls.append(Call(segment.head, here, answers + self.scores[segment.head].start))
        return tuple(calls), here


def plan_memory(network: Network, stages: Mapping[str, CudaStage]) -> MemoryPlan:
    """The plan for a network whose stages have these sizes."""
    heads = [each.head for each in network.exits] + [gate.decision for gate in network.gates if gate.decision]
    decisions = [*heads, *([network.policy] if network.policy else [])]
    trunk = [stage for stage in stages if stage not in decisions]
    end = 0

    def take(size: int) -> Span:
        nonlocal end
        span = Span(end, size)
        end += _aligned(size)
        return span

    frame_bytes = stages[network.order[0]].input_bytes
    gates = len(network.gates)
    whole_input = take(_aligned(frame_bytes) + gates * FLOAT_BYTES)
    start = end

    def take_answer(size: int) -> Span:
        return Span(take(size).start - start, size)

    scores = {head: take_answer(stages[head].output_bytes) for head in decisions}
    route, taken = take_answer(gates * FLOAT_BYTES), take_answer(FLOAT_BYTES)
    answers = Span(start, end - start)
    # The frame too: a stage is tried out on whatever lies there.
    largest = max(frame_bytes, *(stages[stage].output_bytes for stage in trunk))
    turns = (take(largest).start, take(largest).start)
    kept = {head: take(size).start for head, size in _kept_bytes(network, stages).items()}
    scratch = take(max(stage.scratch_bytes for stage in stages.values()))
    return MemoryPlan(end, whole_input, frame_bytes, answers, scores, route, taken, turns, kept, scratch)


def _kept_bytes(network: Network, stages: Mapping[str, CudaStage]) -> dict[str, int]:
    """The size of the features behind every decision point but the end, by its head."""
    kept = {each.head: stages[each.after].output_bytes for each in network.exits[:-1]}
    for gate in network.gates:
        if gate.decision is not None:
            kept[gate.decision] = stages[gate.block].input_bytes
    return kept


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
