"""Frames whose decisions are made on the device: one launch, IF nodes in it, one wait at the end."""

from __future__ import annotations

from time import perf_counter_ns
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.backends.base import BackendError
from edge.backends.cuda.executable import Marks
from edge.backends.cuda.frame_graph import DeviceRule, FrameGraph
from edge.controllers.base import Controller
from edge.controllers.composed import Composed, decides_exits, decides_gates
from edge.controllers.confidence import Confidence
from edge.controllers.gusodrop import GuSoDrop
from edge.network import Network, Route
from edge.randomness import GateRandom
from edge.runtime import FrameError, Inference, Plan, Timings

if TYPE_CHECKING:
    from edge.backends.cuda.backend import OpenedCuda
    from edge.backends.cuda.graphs import ConditionalGraphs, Graph


def device_rule(controller: Controller, network: Network, *, draws: bool) -> DeviceRule:
    """The rule of an attached controller.

    Raises:
        BackendError: it decides in a way that the device has no kernel for.
    """
    parts = controller.parts if isinstance(controller, Composed) else (controller,)
    gating = [part for part in parts if decides_gates(part)]
    if controller.asks_gates or (draws and not all(type(part) is GuSoDrop for part in gating)):
        raise BackendError("the device draws gates as gusodrop does, and no other way: leave out gates=device")
    exiting = [part for part in parts if decides_exits(part)]
    thresholds: tuple[float | None, ...] = (None,) * (len(network.exits) - 1)
    if exiting:
        only = exiting[0]
        if len(exiting) > 1 or not isinstance(only, Confidence) or only.fallback != "last":
            raise BackendError(
                "the device decides exits as confidence with fallback=last does, and no other way: choose exits=host"
            )
        thresholds = only.limits
    return DeviceRule(draws and bool(gating), thresholds)


class DecidedRuntime:
    """Runs whole frames as `edge.runtime.Runtime` does: a graph for every route, or one where the device draws it."""

    def __init__(self, backend: OpenedCuda, controller: Controller, random: GateRandom) -> None:
        self.network, self.backend, self.controller = backend.network, backend, controller
        self._random = random
        controller.attach(self.network, random)
        self._rule = device_rule(controller, self.network, draws=backend.options.gates == "device")
        assert backend.conditional is not None, "checked when the network was opened"
        self._graphs: ConditionalGraphs = backend.conditional
        asks_policy = controller.needs_policy and not self._rule.draws
        self._policy = backend.compile(self.network.policy_segment()) if asks_policy else None
        self._marks = Marks(backend.device)
        self._taken, self._route = backend.integers(backend.memory.taken), backend.integers(backend.memory.route)
        with backend.guarded:
            for route in [None] if self._rule.draws else controller.likely_routes():
                self._capture(route)

    def restart(self) -> None:
        """Draw again what a seeded run draws first; a run without a seed goes on."""
        self._random.restart()

    def infer(self, image: NDArray[np.float32]) -> Inference:
        """Classify one input (1, 3, h, w) in [0, 1].

        Raises:
            FrameError: the network gave scores or probabilities that are no numbers.
        """
        backend, rule = self.backend, self._rule
        began = perf_counter_ns()
        self.controller.start()
        probabilities = self._policy.run(image)[1] if self._policy is not None else None
        policy_done = perf_counter_ns()
        route = None if rule.draws else self.controller.gates(probabilities)
        uniforms = self._random.uniforms(len(self.network.gates)) if rule.draws else None
        decided = perf_counter_ns()
        with backend.guarded:
            graph = backend.graph_under(("decided", route))
            cold = graph is None
            backend.arrive(image, uniforms=uniforms)
            backend.run_graph(graph or self._capture(route), self._marks)
        ended = perf_counter_ns()
        taken = int(self._taken[0])
        if route is None:
            route = self._drawn()
        asked = [index for index, limit in enumerate(rule.thresholds[:taken]) if limit is not None]
        scores = {index: backend.answer(self.network.exits[index].head).copy() for index in (*asked, taken)}
        for index, found in scores.items():
            if not np.isfinite(found).all():
                raise FrameError(f"the scores of route {route or '-'} at exit {index} are not finite numbers")
        spans = policy_done - began, decided - policy_done, ended - decided, ended - began
        timings = Timings(*spans, backend.device_times())
        plan: Plan = "cold" if cold else "fused"
        return Inference(scores[taken], taken, route, plan, timings, taken, MappingProxyType({}))

    def close(self) -> None:
        """Close the backend."""
        self._policy = None
        self.backend.close()

    def _drawn(self) -> Route:
        bits = self._route.tolist()
        if -1 in bits:
            raise FrameError(f"the keep-probability of gate {bits.index(-1)} is not in [0, 1]")
        return "".join("1" if bit else "0" for bit in bits)

    def _capture(self, route: Route | None) -> Graph:
        backend = self.backend
        backend.rehearse()
        frame = FrameGraph(backend, self._graphs, self._rule, route)
        graph = backend.captured(("decided", route), frame.enqueue)
        if graph is None:
            raise BackendError("a frame that the device decides cannot be captured as a graph: choose exits=host")
        return graph
