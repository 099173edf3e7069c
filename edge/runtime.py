"""The loop: one frame through the segments, asking the controller between them."""

from __future__ import annotations

from collections import OrderedDict
from time import perf_counter_ns
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.backends.base import Backend, Executable, Features
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
    """

    policy_ns: int
    decision_ns: int
    segments_ns: int
    inference_ns: int


class Inference(NamedTuple):
    """The answer to one frame: scores (classes,), the exit taken, the route, and how long it took."""

    scores: NDArray[np.float32]
    exit: int
    route: Route
    plan: Plan
    timings: Timings


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
        self._positions = network.exit_positions
        self._compiled: OrderedDict[tuple[Route, int, int], Executable] = OrderedDict()
        self._segments_kept = segments_kept
        for route in controller.likely_routes():
            self.compile(route)

    def restart(self) -> None:
        """Draw again what a seeded run draws first; a run without a seed goes on."""
        self._random.restart()

    def compile(self, route: Route) -> None:
        """Compile the segments of a route, every exit that the controller wants being a decision point."""
        start = 0
        for exit_index, stop in enumerate(self._positions):
            if exit_index + 1 == len(self._positions) or self.controller.wants(exit_index):
                self._executable(route, start, exit_index)
                start = stop

    def infer(self, image: NDArray[np.float32]) -> Inference:
        """Classify one input (1, 3, h, w) in [0, 1].

        Raises:
            FrameError: the network gave scores or probabilities that are no numbers.
        """
        controller = self.controller
        began = perf_counter_ns()
        controller.start()
        probabilities = self._policy.run(image)[1] if self._policy is not None else None
        policy_done = perf_counter_ns()
        try:
            route = controller.gates(probabilities)
        except ProbabilityError as error:
            raise FrameError(str(error)) from None
        segments_ns = 0
        start, last = 0, len(self._positions) - 1
        plan: Plan = "fused"
        features: Features = image
        for exit_index, stop in enumerate(self._positions):
            if exit_index != last and not controller.wants(exit_index):
                continue
            key = (route, start, exit_index)
            executable = self._compiled.get(key)
            if executable is None:
                plan = "cold"
                executable = self._executable(route, start, exit_index)
            elif executable.plan != "fused" and plan != "cold":
                plan = "chain"
            segment_began = perf_counter_ns()
            features, scores = executable.run(features)
            segment_done = perf_counter_ns()
            segments_ns += segment_done - segment_began
            self._compiled.move_to_end(key)
            start = stop
            if exit_index == last or controller.at_exit(exit_index, scores):
                break
        ended = perf_counter_ns()
        if not np.isfinite(scores).all():
            raise FrameError(f"the scores of route {route or '-'} at exit {exit_index} are not finite numbers")
        policy_ns = policy_done - began
        inference_ns = ended - began
        timings = Timings(policy_ns, inference_ns - policy_ns - segments_ns, segments_ns, inference_ns)
        return Inference(scores, exit_index, route, plan, timings)

    def close(self) -> None:
        """Drop the compiled segments and close the backend."""
        self._compiled.clear()
        self._policy = None
        self.backend.close()

    def _executable(self, route: Route, start: int, exit_index: int) -> Executable:
        key = (route, start, exit_index)
        executable = self._compiled.get(key)
        if executable is None:
            executable = self.backend.compile(self.network.segment(route, start, exit_index))
            self._compiled[key] = executable
            while len(self._compiled) > self._segments_kept:
                self._compiled.popitem(last=False)
        return executable
