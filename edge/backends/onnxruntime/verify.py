"""Whether fused segments give the scores of the plain chain: tried before any of them is used."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from edge.backends.base import Executable, Features
from edge.network import Network, Route, Segment

# Of the largest score.  Fused and plain graphs add in different orders, which costs about 1e-6.
TOLERANCE = 1e-4

Compile = Callable[[Segment], Executable]
# Segments from the image to scores, each run on the features of the one before.
Chain = list[tuple[Segment, Executable]]


def routes_to_verify(network: Network) -> list[Route]:
    """Four routes in which every gate is open and closed, beside a neighbour that is open and one that is closed.

    A segment is a list of pieces, each of which meets only its neighbours; these four hold every such meeting.
    """
    gates = len(network.gates)
    patterns = ("1", "0", "10", "01")
    return list(dict.fromkeys((pattern * gates)[:gates] for pattern in patterns))


def segments_to_verify(network: Network, routes: Iterable[Route]) -> Iterator[tuple[Segment, ...]]:
    """Chains of segments from the image to scores: by every exit, straight to the end, by the gates, and the policy."""
    last = len(network.exits) - 1
    for route in routes:
        starts = (0, *network.exit_positions[:-1])
        yield tuple(network.segment(route, start, exit_index) for exit_index, start in enumerate(starts))
        if last > 0:
            yield (network.segment(route, 0, last),)
        if any(gate.decision for gate in network.gates):
            yield tuple(_by_gates(network, route))
    if network.policy is not None:
        yield (network.policy_segment(),)


def _by_gates(network: Network, route: Route) -> Iterator[Segment]:
    """The segments of a route from one gate network to the next, and from the last of them to the end."""
    start = 0
    for gate, position in enumerate(network.gate_positions):
        if network.gates[gate].decision is not None:
            yield network.segment_to_gate(route, start, gate)
            start = position
    yield network.segment(route, start, len(network.exits) - 1)


def images_to_verify(network: Network) -> list[NDArray[np.float32]]:
    """One without any pattern that a network could look through, and a white one."""
    shape = network.stages[network.order[0]].input.shape
    # Multiples of the golden ratio without their whole parts: even over [0, 1), and numpy.random, 8 ms, stays out.
    scattered = np.modf(np.arange(math.prod(shape)) * ((math.sqrt(5) - 1) / 2))[0]
    return [scattered.astype(np.float32).reshape(shape), np.ones(shape, np.float32)]


def difference(network: Network, candidate: Compile, reference: Compile) -> str | None:
    """The sentence that says where two ways of running a network differ, or None where they agree."""
    routes, images = routes_to_verify(network), images_to_verify(network)
    expected = (scores for _, scores in _run(_compiled(network, reference, routes), images))
    return _difference(network, _run(_compiled(network, candidate, routes), images), expected)


def sample(network: Network, compile_segment: Compile) -> list[NDArray[np.float32]]:
    """Scores by which every stage can be checked later: of one image, all gates open and all closed."""
    return [scores for _, scores in _run(sample_of(network, compile_segment), _sample_images(network))]


def sample_of(network: Network, candidate: Compile) -> list[Chain]:
    """The segments that `sample` runs, compiled and not run yet."""
    return list(_compiled(network, candidate, routes_to_verify(network)[:2]))


def difference_from_sample(
    network: Network, chains: Iterable[Chain], remembered: Iterable[NDArray[np.float32]]
) -> str | None:
    """As `difference`, of what `sample_of` gave from what `sample` gave for the reference at another time."""
    return _difference(network, _run(chains, _sample_images(network)), remembered)


def relative_error(scores: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest difference, relative to the largest expected score; NaN where any score is."""
    scale = float(np.abs(expected).max()) or 1.0
    return float(np.abs(scores - expected).max()) / scale


def _difference(
    network: Network, found: Iterable[tuple[Segment, NDArray[np.float32]]], expected: Iterable[NDArray[np.float32]]
) -> str | None:
    for (segment, scores), wanted in zip(found, expected, strict=True):
        # A probability near 0 is as good as 0: kernels of the sigmoid differ by 1e-7, which is much of 1e-4.
        probable = network.stages[segment.head].kind in ("gate", "policy")
        error = float(np.abs(scores - wanted).max()) if probable else relative_error(scores, wanted)
        # Written so that a NaN counts as a difference.
        if not error <= TOLERANCE:
            chain = ", ".join((*segment.stages, segment.head))
            return f"{chain} joined differ from the plain chain by {error:.1e} of the largest score"
    return None


def _sample_images(network: Network) -> list[NDArray[np.float32]]:
    return images_to_verify(network)[:1]


def _compiled(network: Network, compile_segment: Compile, routes: Iterable[Route]) -> Iterator[Chain]:
    for segments in segments_to_verify(network, routes):
        yield [(segment, compile_segment(segment)) for segment in segments]


def _run(
    chains: Iterable[Chain], images: Iterable[NDArray[np.float32]]
) -> Iterator[tuple[Segment, NDArray[np.float32]]]:
    for chain in chains:
        for image in images:
            features: Features | None = image
            for segment, executable in chain:
                features, scores = executable.run(features)
                yield segment, scores
