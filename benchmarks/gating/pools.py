"""Which threads suit a static network best: its own, or those that a process has for all its networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from bench.statistics.quantiles import quantile
from benchmarks.gating.fresh import in_fresh_process
from benchmarks.gating.static import StaticNetworks, own_pool_options, random_image, stages_of, static_networks
from benchmarks.gating.turns import WARM_UP_FRAMES, Image, Run, no_garbage_collection
from edge.backends.onnxruntime.importing import import_onnxruntime
from edge.bundle import open_bundle
from edge.network import Route


@dataclass(frozen=True, slots=True)
class PoolLatency:
    """The median latency of a route's static network in milliseconds, mean of two processes each."""

    route: Route
    own_ms: float
    shared_ms: float


def compare_pools(folder: Path, threads: int, frames: int, routes: Sequence[Route]) -> list[PoolLatency]:
    """Static networks with threads of their own and with those of the process, in turns of fresh processes.

    ONNX Runtime settles on one or the other per process, so that they cannot take turns within one.
    """
    turns = [
        in_fresh_process(static_latencies_ms, folder, threads, frames, routes, shared)
        for shared in (False, True, True, False)
    ]
    own, shared = (np.mean([turns[first], turns[second]], axis=0) for first, second in ((0, 3), (1, 2)))
    return [PoolLatency(route, float(own[index]), float(shared[index])) for index, route in enumerate(routes)]


def static_latencies_ms(folder: Path, threads: int, frames: int, routes: Sequence[Route], shared: bool) -> list[float]:
    """The median latency of each route's static network; for a process of its own."""
    bundle = open_bundle(folder)
    if shared:
        static = static_networks(bundle, threads)
    else:
        ort = import_onnxruntime()
        static = StaticNetworks(bundle.network, stages_of(bundle), ort, own_pool_options(ort, threads))
    image = random_image(bundle.network)
    return [_median_ms(static.route(route), image, frames) for route in routes]


def _median_ms(run: Run, image: Image, frames: int) -> float:
    times = []
    with no_garbage_collection():
        for _ in range(WARM_UP_FRAMES + frames):
            began = perf_counter_ns()
            run(image)
            times.append(perf_counter_ns() - began)
    return quantile(times[WARM_UP_FRAMES:], 0.5) / 1e6
