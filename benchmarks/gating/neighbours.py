"""One network beside another in one process, as `--baseline` has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from bench.statistics.quantiles import quantile, quantile_estimate
from benchmarks.gating.frames import controller_of, rendered_images
from benchmarks.gating.turns import Image, no_garbage_collection
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import open_bundle
from edge.controllers.base import Controller
from edge.randomness import GateRandom
from edge.runtime import Runtime

_IMAGES = 60


@dataclass(frozen=True, slots=True)
class NeighbourRatio:
    """The mean latency of a network's frames when another runs between them, over that when it runs alone.

    Median over `rounds`, with its 95% interval (None where there are too few rounds).
    """

    network: str
    rounds: int
    frames_a_round: int
    alone_ms: float
    ratio: float
    low: float | None
    high: float | None


def measure_neighbours(folder: Path, threads: int, rounds: int, frames: int) -> list[NeighbourRatio]:
    """The network with its routes drawn beside the full network, two backends in one process of its own.

    A round is: alone, alternating, alternating, alone, `frames` frames of a network each.  The draws of every stretch
    are the same.
    """
    bundle = open_bundle(folder)
    controllers = (controller_of(bundle.network), Controller())
    runtimes = [
        Runtime(bundle.network, OnnxRuntime().open(bundle, threads), controller, random=GateRandom(0))
        for controller in controllers
    ]
    images = rendered_images(bundle.network, min(_IMAGES, frames))
    images = [images[index % len(images)] for index in range(frames)]
    # (rounds, network, alone or beside)
    means = np.empty((rounds, 2, 2))
    _beside(runtimes, images)
    with no_garbage_collection():
        for turn in means:
            before = [_alone(runtime, images) for runtime in runtimes]
            beside = [_beside(runtimes, images) for _ in range(2)]
            after = [_alone(runtime, images) for runtime in runtimes]
            turn[:, 0] = np.mean([before, after], axis=0)
            turn[:, 1] = np.mean(beside, axis=0)
    names = ("routes drawn", "full network")
    return [neighbour_ratio(name, means[:, index], frames) for index, name in enumerate(names)]


def neighbour_ratio(name: str, means: NDArray[np.float64], frames: int) -> NeighbourRatio:
    """What follows from mean milliseconds (rounds, 2): alone, beside another."""
    alone, beside = means.T
    interval = quantile_estimate(beside / alone, 0.5)
    return NeighbourRatio(
        network=name,
        rounds=len(means),
        frames_a_round=2 * frames,
        alone_ms=quantile(alone, 0.5),
        ratio=quantile(beside / alone, 0.5),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
    )


def _alone(runtime: Runtime, images: Sequence[Image]) -> float:
    """Mean milliseconds of a frame."""
    return _beside([runtime], images)[0]


def _beside(runtimes: Sequence[Runtime], images: Sequence[Image]) -> list[float]:
    """Mean milliseconds of a frame of each, frame by frame in turns."""
    for runtime in runtimes:
        runtime.restart()
    spent_ns = [0] * len(runtimes)
    for image in images:
        for index, runtime in enumerate(runtimes):
            began = perf_counter_ns()
            runtime.infer(image)
            spent_ns[index] += perf_counter_ns() - began
    return [nanoseconds / len(images) / 1e6 for nanoseconds in spent_ns]
