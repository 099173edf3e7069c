"""The loop: one frame through the segments, asking the controller between them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import isfinite
from time import perf_counter_ns
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.backends.base import NO_DEVICE_TIMES, Backend, DeviceTimes, Executable, Features
from edge.controllers.base import Controller
from edge.network import Network, Route
from edge.randomness import GateRandom, ProbabilityError

# How a frame's segments ran: as one graph each, stage by stage, or with a compilation inside the frame.
Plan = Literal["fused", "chain", "cold"]


class FrameError(Exception):
    """This frame has no answer; the next one may."""


class Timings(NamedTuple):
    """Nanoseconds of one inference; `inference_ns` is the whole, gaps between the parts included.

    `decision_ns` is all that is neither policy nor segments: in a frame whose plan is "cold" also the compilation.
    `device` is what the clock of a device says, where the backend has one.
    """

    policy_ns: int
    decision_ns: int
    segments_ns: int
    inference_ns: int
    device: DeviceTimes = NO_DEVICE_TIMES


class Inference(NamedTuple):
    """The answer to one frame: scores (classes,), the exit taken, the route, and how long it took.

    `answered_by` is the exit whose scores these are: an earlier one than `exit` where the controller fell back to it.
    `confidences` holds what a controller with thresholds computed at the exits that it asked, in its own measure.
    """

    scores: NDArray[np.float32]
    exit: int
    route: Route
    plan: Plan
    timings: Timings
    answered_by: int
    confidences: Mapping[int, float]


class _Point(NamedTuple):
    """A place where the controller may be asked: `exit`, or, where that is None, the next gate.

    `position` trunk stages and `gates` gates stand before it, so that the next gate is number `gates`.
    """

    position: int
    gates: int
    exit: int | None


class Runtime:
    """Runs a network frame by frame.

        runtime = Runtime(bundle.network, OnnxRuntime().open(bundle, threads=1), GuSoDrop())
        runtime.infer(image).scores

    Segments are compiled ahead for the routes that the controller calls likely, others when they first occur; at most
    `segments_kept` stay compiled, the least recently used goes.
    """

    def __init__(
        self,
        network: Network,
        backend: Backend,
        controller: Controller,
        *,
        random: GateRandom | None = None,
        segments_kept: int = 512,
    ) -> None:
        self.network = network
        self.backend = backend
        self.controller = controller
        self._random = random or GateRandom()
        controller.attach(network, self._random)
        self._policy = backend.compile(network.policy_segment()) if controller.needs_policy else None
        self._device_times: Callable[[], DeviceTimes] | None = getattr(backend, "device_times", None)
        self._points = _points(network, ask_gates=controller.asks_gates)
        self._last = len(network.exits) - 1
        # By where it starts, the number of its decision point, and the gates in between: routes share segments.
        self._compiled: OrderedDict[tuple[int, int, Route], Executable] = OrderedDict()
        self._segments_kept = segments_kept
        for route in controller.likely_routes():
            self.compile(route)
        self._rehearse()

    def restart(self) -> None:
        """Draw again what a seeded run draws first; a run without a seed goes on."""
        self._random.restart()

    def compile(self, route: Route) -> None:
        """Compile the segments of a route, every exit that the controller wants being a decision point."""
        controller = self.controller
        starts = [(0, 0)]
        for number, point in enumerate(self._points):
            optional = point.exit is not None and point.exit != self._last
            if optional and not controller.wants_vary and not controller.wants(point.exit or 0):
                continue
            for position, gates in starts:
                self._executable(route, position, gates, number)
            here = (point.position, point.gates)
            starts = [*starts, here] if optional and controller.wants_vary else [here]

    def infer(self, image: NDArray[np.float32]) -> Inference:
        """Classify one input (1, 3, h, w) in [0, 1].

        Raises:
            FrameError: the network gave scores or probabilities that are no numbers.
        """
        controller, last = self.controller, self._last
        began = perf_counter_ns()
        controller.start()
        probabilities = self._policy.run(image)[1] if self._policy is not None else None
        policy_done = perf_counter_ns()
        segments_ns = position = gates = 0
        plan: Plan = "fused"
        features: Features = image
        asked: dict[int, NDArray[np.float32]] = {}
        try:
            route = controller.gates(probabilities)
            for number, point in enumerate(self._points):
                exit_index = point.exit
                if exit_index is not None and exit_index != last and not controller.wants(exit_index):
                    continue
                key = (position, number, route[gates : point.gates])
                executable = self._compiled.get(key)
                if executable is None:
                    plan = "cold"
                    executable = self._executable(route, position, gates, number)
                segment_began = perf_counter_ns()
                features, scores = executable.run(features)
                segments_ns += perf_counter_ns() - segment_began
                if plan != "cold" and executable.plan != "fused":
                    plan = "cold" if executable.plan == "cold" else "chain"
                self._compiled.move_to_end(key)
                position, gates = point.position, point.gates
                if exit_index is None:
                    bit = "1" if controller.at_gate(gates, scores) else "0"
                    route = route[:gates] + bit + route[gates + 1 :]
                    continue
                asked[exit_index] = scores
                if exit_index == last or controller.at_exit(exit_index, scores):
                    break
            assert exit_index is not None, "an exit stands behind the last stage"
            answered_by = controller.at_end(exit_index, scores)
        except ProbabilityError as error:
            raise FrameError(str(error)) from None
        ended = perf_counter_ns()
        device = self._device_times() if self._device_times is not None else NO_DEVICE_TIMES
        # Of every exit that was asked: a decision made on what is no number is none.
        for index, found in asked.items():
            # A sum of finite float32 is finite as float64; for ten classes 0.4 us, and 3.6 by np.isfinite.
            if not isfinite(sum(found.tolist())):
                raise FrameError(f"the scores of route {route or '-'} at exit {index} are not finite numbers")
        policy_ns = policy_done - began
        inference_ns = ended - began
        timings = Timings(policy_ns, inference_ns - policy_ns - segments_ns, segments_ns, inference_ns, device)
        return Inference(asked[answered_by], exit_index, route, plan, timings, answered_by, controller.confidences)

    def close(self) -> None:
        """Drop the compiled segments and close the backend."""
        self._compiled.clear()
        self._policy = None
        self.backend.close()

    def _rehearse(self) -> None:
        """Run a grey image, so that a controller learns what the ways between exits cost."""
        shape = self.network.stages[self.network.order[0]].input.shape
        controller = self.controller
        self.controller = _Rehearsal(controller)
        for _ in range(controller.rehearsals):
            with suppress(FrameError):
                self.infer(np.full(shape, 0.5, np.float32))
        self.controller = controller
        # What was drawn meanwhile is drawn again.
        self.restart()

    def _executable(self, route: Route, position: int, gates: int, number: int) -> Executable:
        point = self._points[number]
        key = (position, number, route[gates : point.gates])
        executable = self._compiled.get(key)
        if executable is None:
            if point.exit is not None:
                segment = self.network.segment(route, position, point.exit)
            else:
                segment = self.network.segment_to_gate(route, position, point.gates)
            executable = self._compiled[key] = self.backend.compile(segment)
            while len(self._compiled) > self._segments_kept:
                self._compiled.popitem(last=False)
        return executable


class _Rehearsal(Controller):
    """Goes from exit to exit to the end, and lets another controller see what it would see."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def start(self) -> None:
        self._controller.start()

    def gates(self, probabilities: NDArray[np.float32] | None) -> Route:
        return self._controller.gates(probabilities)

    def at_gate(self, gate: int, scores: NDArray[np.float32]) -> bool:
        return self._controller.at_gate(gate, scores)

    def wants(self, exit_index: int) -> bool:
        return True

    def at_exit(self, exit_index: int, scores: NDArray[np.float32]) -> bool:
        self._controller.at_exit(exit_index, scores)
        return False

    def at_end(self, exit_index: int, scores: NDArray[np.float32]) -> int:
        return self._controller.at_end(exit_index, scores)


def _points(network: Network, *, ask_gates: bool) -> tuple[_Point, ...]:
    """Where the controller may be asked, in the order of the trunk: an exit before the gate that reads the same."""

    def gates_before(position: int) -> int:
        return sum(each < position for each in network.gate_positions)

    points = [_Point(stop, gates_before(stop), index) for index, stop in enumerate(network.exit_positions)]
    if ask_gates:
        asked = [gate for gate in network.gates if gate.decision is not None]
        positions = [network.order.index(gate.block) for gate in asked]
        points += [_Point(position, gates_before(position), None) for position in positions]
    return tuple(sorted(points, key=lambda point: (point.position, point.exit is None)))
