"""A whole frame as one graph with its decisions inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.network import Gate, Route

if TYPE_CHECKING:
    from edge.backends.cuda.backend import OpenedCuda
    from edge.backends.cuda.device import Stream
    from edge.backends.cuda.graphs import ConditionalGraphs


@dataclass(frozen=True, slots=True)
class DeviceRule:
    """What the device decides: whether it draws the gates, and the largest softmax that each exit but the last needs.

    None is an exit that is not asked.
    """

    draws: bool
    thresholds: tuple[float | None, ...]


class FrameGraph:
    """Enqueues one frame, into a stream that is being captured.

    With a route its stages stand in the graph as they are.  Without, the policy runs first, and every gate is a pair of
    IF nodes: its block, or what runs instead; both leave the features in the same place, so that a block without a
    bypass of its own costs a copy on the device where it is dropped.  What stands behind an exit is inside its IF node.
    """

    def __init__(self, backend: OpenedCuda, graphs: ConditionalGraphs, rule: DeviceRule, route: Route | None) -> None:
        self._backend, self._graphs, self._rule, self._route = backend, graphs, rule, route
        self._network, self._memory = backend.network, backend.memory
        self._gates = {gate.block: index for index, gate in enumerate(self._network.gates)}
        self._asked = {
            position: index
            for index, position in enumerate(self._network.exit_positions[:-1])
            if rule.thresholds[index] is not None
        }
        self._conditions: list[tuple[int, int]] = []

    def enqueue(self) -> None:
        self._conditions = self._drawn() if self._rule.draws else []
        self._from(0, self._backend.input_at, self._backend.stream)

    def _drawn(self) -> list[tuple[int, int]]:
        """The policy and a kernel for every gate, which sets the conditions (kept, dropped)."""
        backend, graphs, network = self._backend, self._graphs, self._network
        stream, policy = backend.stream, network.policy
        assert policy is not None, "the controller refused a network without"
        probabilities = self._answer(policy)
        backend.stages[policy].enqueue(stream, backend.input_at, probabilities)
        conditions = [(graphs.condition(stream), graphs.condition(stream)) for _ in network.gates]
        route = backend.answers + self._memory.route.start
        for gate, (kept, dropped) in enumerate(conditions):
            graphs.launch_kernel("draw_gate", stream, kept, dropped, probabilities, backend.uniforms_at, gate, route)
        return conditions

    def _from(self, position: int, here: int, stream: Stream) -> None:
        """The trunk from a position to the end, the rest behind an exit nested in it."""
        network = self._network
        for index in range(position, len(network.order)):
            here = self._stage(network.order[index], here, stream)
            exit_index = self._asked.get(index + 1)
            if exit_index is not None:
                condition = self._exit(exit_index, here, stream)
                with self._graphs.when(condition, stream) as inside:
                    self._from(index + 1, here, inside)
                return
        last = len(network.exits) - 1
        head = network.exits[last].head
        self._backend.stages[head].enqueue(stream, here, self._answer(head))
        self._graphs.launch_kernel("take_exit", stream, last, self._taken)

    def _stage(self, stage: str, here: int, stream: Stream) -> int:
        """One place of the trunk, and where its features are behind it."""
        stages, index = self._backend.stages, self._gates.get(stage)
        target = self._other(here)
        if index is None or (self._route is not None and self._route[index] == "1"):
            stages[stage].enqueue(stream, here, target)
            return target
        gate = self._network.gates[index]
        if self._route is not None:
            if gate.bypass is None:
                return here
            stages[gate.bypass].enqueue(stream, here, target)
            return target
        if not self._conditions:
            # Nothing drops blocks here.
            stages[stage].enqueue(stream, here, target)
            return target
        kept, dropped = self._conditions[index]
        with self._graphs.when(kept, stream) as inside:
            stages[stage].enqueue(inside, here, target)
        with self._graphs.when(dropped, stream) as inside:
            self._dropped(gate, here, target, inside)
        return target

    def _dropped(self, gate: Gate, here: int, target: int, stream: Stream) -> None:
        if gate.bypass is not None:
            self._backend.stages[gate.bypass].enqueue(stream, here, target)
        else:
            self._backend.device.copy(target, here, self._backend.stages[gate.block].output_bytes, stream)

    def _exit(self, index: int, here: int, stream: Stream) -> int:
        """A head and its check; the condition to go on."""
        exit_ = self._network.exits[index]
        scores = self._answer(exit_.head)
        self._backend.stages[exit_.head].enqueue(stream, here, scores)
        condition = self._graphs.condition(stream)
        classes = self._backend.answer(exit_.head).size
        threshold = self._rule.thresholds[index]
        assert threshold is not None, "only such exits are asked"
        self._graphs.launch_kernel("decide_exit", stream, condition, scores, classes, threshold, index, self._taken)
        return condition

    def _answer(self, head: str) -> int:
        return self._backend.answers + self._memory.scores[head].start

    @property
    def _taken(self) -> int:
        return self._backend.answers + self._memory.taken.start

    def _other(self, here: int) -> int:
        first, second = (self._backend.base + turn for turn in self._memory.turns)
        return second if here == first else first
