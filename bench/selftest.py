"""Every route and exit on one backend, held against ONNX Runtime on the processor, and against static graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.backends.base import Backend, Executable, Features
from edge.controllers.base import all_routes
from edge.network import Network, Route, Segment

# Of the largest score, by what a network computes in.
MOST_ERROR = {"fp32": 1e-3, "fp16": 3e-2, "int8": 0.25}
# Beyond what `all_routes` lists, so many are drawn.
ROUTES_DRAWN = 256
_SEED = 1
_ROUTES_TIMED = 8
_PAIRS = 60


@dataclass(frozen=True, slots=True)
class Deviation:
    """The largest difference of a path's scores, over the judge's largest score; `exit` is None for the policy."""

    route: Route
    exit: int | None
    error: float


class RouteTime(NamedTuple):
    """A route from the image to the last exit, in milliseconds (medians): through the backend, and as one graph."""

    route: Route
    backend_ms: float
    static_ms: float

    @property
    def ratio(self) -> float:
        return self.backend_ms / self.static_ms


def routes_to_test(network: Network) -> list[Route]:
    """All routes, or 256 of them, the full one and the empty one among them."""
    if listed := all_routes(network):
        return listed
    gates = len(network.gates)
    drawn = np.random.default_rng(_SEED).integers(0, 2, (ROUTES_DRAWN - 2, gates))
    return ["1" * gates, "0" * gates, *("".join(map(str, bits)) for bits in drawn.tolist())]


def deviations(network: Network, backend: Backend, judge: Backend, images: int) -> Iterator[Deviation]:
    """How far every route is off at every exit, and the policy, the worst of so many images; one at a time.

    At an exit the frame has come through all exits before it, so that every way from decision to decision is walked.
    """
    shape = network.stages[network.order[0]].input.shape
    inputs = np.random.default_rng(_SEED).random((images, *shape), np.float32)
    if network.policy is not None:
        yield Deviation("", None, _worst([network.policy_segment()], backend, judge, inputs)[0])
    for route in routes_to_test(network):
        starts = (0, *network.exit_positions[:-1])
        segments = [network.segment(route, start, index) for index, start in enumerate(starts)]
        for index, error in enumerate(_worst(segments, backend, judge, inputs)):
            yield Deviation(route, index, error)


def _worst(
    segments: Sequence[Segment], backend: Backend, judge: Backend, inputs: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The largest error behind each segment of a chain (segments,)."""
    chains = [[each.compile(segment) for segment in segments] for each in (backend, judge)]
    worst = np.zeros(len(segments))
    for image in inputs:
        found, right = (_scores(chain, image) for chain in chains)
        for index, (mine, its) in enumerate(zip(found, right, strict=True)):
            error = np.abs(mine.astype(np.float64) - its).max() / max(float(np.abs(its).max()), 1e-9)
            # No number is no answer.
            worst[index] = max(worst[index], error if np.isfinite(error) else np.inf)
    return worst


def _scores(chain: Sequence[Executable], image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    features: Features | None = image
    found = []
    for executable in chain:
        features, scores = executable.run(features)
        found.append(scores)
    return found


def route_times(
    network: Network, backend: Backend, static: Callable[[Segment], Executable], pairs: int = _PAIRS
) -> list[RouteTime]:
    """A few routes beside the same routes as one static graph, in turn (A B, B A, ...)."""
    image = np.random.default_rng(_SEED).random(network.stages[network.order[0]].input.shape, np.float32)
    routes = routes_to_test(network)
    chosen = [routes[index] for index in np.linspace(0, len(routes) - 1, min(_ROUTES_TIMED, len(routes))).astype(int)]
    times = []
    for route in chosen:
        segment = network.segment(route, 0, len(network.exits) - 1)
        both = (backend.compile(segment), static(segment))
        spent_ns: tuple[list[int], list[int]] = ([], [])
        for pair in range(-5, pairs):
            for which in (0, 1) if pair % 2 else (1, 0):
                began_ns = perf_counter_ns()
                both[which].run(image)
                # The first few find everything cold.
                if pair >= 0:
                    spent_ns[which].append(perf_counter_ns() - began_ns)
        times.append(RouteTime(route, *(float(np.median(each)) / 1e6 for each in spent_ns)))
    return times
