"""Networks that decide on the way: from exit to exit, or from gate network to gate network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.gating.plans import check_scores
from benchmarks.gating.static import random_image, static_networks
from benchmarks.gating.turns import Image, RouteTax, Run, Scores, in_turns, tax_of
from edge.backends.base import Executable, Features
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import open_bundle
from edge.network import Network, Route, Segment

DECISIONS = "decisions"


def measure_decisions(folder: Path, threads: int, groups: int, routes: Sequence[Route]) -> list[RouteTax]:
    """The tax of asking at every exit, or at every gate network, on the way; for a process of its own.

    The static network is one graph that computes the same heads, without stopping anywhere.  What decides is left out:
    it is the same few microseconds for both.  Routes are called by their gates and the exit they end at.
    """
    bundle = open_bundle(folder)
    static, backend = static_networks(bundle, threads), OnnxRuntime().open(bundle, threads)
    image = random_image(bundle.network)
    taxes = []
    for name, segments in decided_ways(bundle.network, routes):
        reference, run = static.chain(segments), _in_a_row([backend.compile(segment) for segment in segments])
        check_scores(DECISIONS, name, reference, run, image)
        taxes.append(RouteTax(DECISIONS, name, tax_of(in_turns(reference, run, image, groups))))
    return taxes


def decided_ways(network: Network, routes: Sequence[Route]) -> Iterator[tuple[str, list[Segment]]]:
    """Name and segments of every way with a decision on it: to each exit by all before it, to the end by the gates."""
    for route in routes:
        starts = (0, *network.exit_positions[:-1])
        ways = [network.segment(route, start, exit_index) for exit_index, start in enumerate(starts)]
        for exit_index in range(1, len(ways)):
            yield f"{route}@{exit_index}", ways[: exit_index + 1]
        asking = [gate for gate, each in enumerate(network.gates) if each.decision is not None]
        if asking:
            positions = [network.gate_positions[gate] for gate in asking]
            by_gates = [
                network.segment_to_gate(route, start, gate)
                for start, gate in zip((0, *positions[:-1]), asking, strict=True)
            ]
            yield route, [*by_gates, network.segment(route, positions[-1], len(network.exits) - 1)]


def _in_a_row(executables: Sequence[Executable]) -> Run:
    def run(image: Image) -> Scores:
        features: Features | None = image
        for executable in executables:
            features, scores = executable.run(features)
        return scores

    return run
