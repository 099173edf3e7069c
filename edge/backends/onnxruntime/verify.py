"""Whether fused segments give the scores of the plain chain: tried before any of them is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from edge.backends.base import Executable, Features
from edge.network import Network, Route, Segment

# Of the largest score.  Fused and plain graphs add in different orders, which costs about 1e-6.
TOLERANCE = 1e-4

Compile = Callable[[Segment], Executable]


def routes_to_verify(network: Network) -> list[Route]:
    """Four routes in which every gate is open and closed, beside a neighbour that is open and one that is closed.

    A segment is a list of pieces, each of which meets only its neighbours; these four hold every such meeting.
    """
    gates = len(network.gates)
    patterns = ("1", "0", "10", "01")
    return list(dict.fromkeys((pattern * gates)[:gates] for pattern in patterns))


def segments_to_verify(network: Network) -> Iterator[tuple[Segment, ...]]:
    """Chains of segments from the image to scores: by every exit, straight to the end, and the policy."""
    last = len(network.exits) - 1
    for route in routes_to_verify(network):
        starts = (0, *network.exit_positions[:-1])
        yield tuple(network.segment(route, start, exit_index) for exit_index, start in enumerate(starts))
        if last > 0:
            yield (network.segment(route, 0, last),)
    if network.policy is not None:
        yield (network.policy_segment(),)


def images_to_verify(network: Network) -> list[NDArray[np.float32]]:
    """A random image (seeded) and a white one."""
    shape = network.stages[network.order[0]].input.shape
    return [np.random.default_rng(0).random(shape, np.float32), np.ones(shape, np.float32)]


def difference(network: Network, candidate: Compile, reference: Compile) -> str | None:
    """The sentence that says where two ways of running a network differ, or None where they agree."""
    images = images_to_verify(network)
    for segments in segments_to_verify(network):
        tried = [candidate(segment) for segment in segments]
        trusted = [reference(segment) for segment in segments]
        for image in images:
            for segment, scores, expected in zip(segments, _scores(tried, image), _scores(trusted, image), strict=True):
                error = relative_error(scores, expected)
                # Written so that a NaN counts as a difference.
                if not error <= TOLERANCE:
                    chain = ", ".join((*segment.stages, segment.head))
                    return f"{chain} joined differ from the plain chain by {error:.1e} of the largest score"
    return None


def relative_error(scores: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest difference, relative to the largest expected score; NaN where any score is."""
    scale = float(np.abs(expected).max()) or 1.0
    return float(np.abs(scores - expected).max()) / scale


def _scores(executables: list[Executable], image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    features: Features | None = image
    all_scores = []
    for executable in executables:
        features, scores = executable.run(features)
        all_scores.append(scores)
    return all_scores
