"""Whole frames as in life: the policy draws a route for every one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from bench.statistics.bootstrap import reduction_estimate
from bench.statistics.quantiles import quantile
from benchmarks.gating.plans import WrongScoresError
from benchmarks.gating.static import static_networks
from benchmarks.gating.turns import Image, Scores, no_garbage_collection
from devices.sources.synthetic import Synthetic
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.verify import TOLERANCE, relative_error
from edge.bundle import Bundle, open_bundle
from edge.controllers.base import Controller
from edge.controllers.gusodrop import GuSoDrop
from edge.controllers.random import RandomDepth
from edge.network import Network, Route
from edge.preprocess import Preprocessor
from edge.randomness import GateRandom
from edge.runtime import Runtime

_SEED = 0
# Distinct images; more frames than that see them again, with routes of their own.
_IMAGES = 240
# Without a policy every gate is open this often, about as a trained policy keeps them.
_KEEP = 0.6
_WARM_UP_FRAMES = 20


@dataclass(frozen=True, slots=True)
class FrameRatio:
    """The latency of whole frames over that with every route a loaded static network.

    `segments_kept` routes stay compiled; `cold` frames had to compile theirs.  `low` and `high` are the 95% interval of
    the mean's ratio, None where there are too few frames.
    """

    segments_kept: int
    frames: int
    routes: int
    cold: int
    static_mean_ms: float
    mean_ratio: float
    low: float | None
    high: float | None
    static_p99_ms: float
    p99_ratio: float


def measure_frames(folder: Path, threads: int, frames: int, limits: Sequence[int]) -> list[FrameRatio]:
    """For every limit of segments kept, frames in turns through the runtime and as static networks.

    For a process of its own.  All static networks stay loaded, some 25 MB each for a ResNet18.
    """
    bundle = open_bundle(folder)
    backend = OnnxRuntime().open(bundle, threads)
    images = rendered_images(bundle.network, min(frames, _IMAGES))
    series = [images[index % len(images)] for index in range(frames)]
    rehearsal = Runtime(bundle.network, backend, controller_of(bundle.network), random=GateRandom(_SEED))
    routes = [rehearsal.infer(image).route for image in series]
    static = StaticFrames(bundle, threads, routes)
    measured = []
    for segments_kept in limits:
        random = GateRandom(_SEED)
        runtime = Runtime(
            bundle.network, backend, controller_of(bundle.network), random=random, segments_kept=segments_kept
        )
        for image in series[:_WARM_UP_FRAMES]:
            runtime.infer(image)
            static.infer(image, routes[0])
        runtime.restart()
        measured.append(_in_turns(runtime, static, series, routes, segments_kept))
    return measured


def controller_of(network: Network) -> Controller:
    """The policy's where there is one, else random depth."""
    return RandomDepth(_KEEP) if network.policy is None else GuSoDrop()


def rendered_images(network: Network, count: int) -> list[Image]:
    """Images of the network's size, cut from the rendered stream."""
    _, _, height, width = network.stages[network.order[0]].input.shape
    preprocess = Preprocessor(height, width)
    return [preprocess(frame.image, frame.roi) for frame in islice(Synthetic("gtsrb").frames(), count)]


class StaticFrames:
    """A frame's way with static networks alone: policy, draw, and the session of the route."""

    def __init__(self, bundle: Bundle, threads: int, routes: Sequence[Route]) -> None:
        network = bundle.network
        static = static_networks(bundle, threads)
        self._policy = static.run(network.policy_segment()) if network.policy is not None else None
        self._without_policy = np.full(len(network.gates), _KEEP)
        self._random = GateRandom(_SEED)
        self._sessions = {route: static.route(route) for route in dict.fromkeys(routes)}

    def infer(self, image: Image, route: Route) -> Scores:
        """Scores of one frame on a given route; a route is drawn too, for what that costs."""
        keep = self._policy(image) if self._policy is not None else self._without_policy
        self._random.route(keep.tolist())
        return self._sessions[route](image)


def _in_turns(
    runtime: Runtime, static: StaticFrames, images: Sequence[Image], routes: Sequence[Route], segments_kept: int
) -> FrameRatio:
    times = np.empty((len(images), 2), np.int64)
    cold = 0
    with no_garbage_collection():
        for index, (image, route) in enumerate(zip(images, routes, strict=True)):
            # Each goes first in every other frame.
            for dynamic in (index % 2, 1 - index % 2):
                began = perf_counter_ns()
                if dynamic:
                    inference = runtime.infer(image)
                else:
                    expected = static.infer(image, route)
                times[index, dynamic] = perf_counter_ns() - began
            cold += inference.plan == "cold"
            if inference.route != route or not relative_error(inference.scores, expected) <= TOLERANCE:
                raise WrongScoresError(f"frame {index} on route {route} differs from the static network")
    return frame_ratio(times, segments_kept, len(set(routes)), cold)


def frame_ratio(times: NDArray[np.int64], segments_kept: int, routes: int, cold: int) -> FrameRatio:
    """What follows from nanoseconds (frames, 2): static, dynamic."""
    static, dynamic = times.T
    reduction = reduction_estimate(dynamic, static, np.random.default_rng(0))
    p99 = quantile(static, 0.99)
    return FrameRatio(
        segments_kept=segments_kept,
        frames=len(times),
        routes=routes,
        cold=cold,
        static_mean_ms=float(static.mean()) / 1e6,
        mean_ratio=float(dynamic.mean() / static.mean()),
        low=1 - reduction.high if reduction else None,
        high=1 - reduction.low if reduction else None,
        static_p99_ms=p99 / 1e6,
        p99_ratio=quantile(dynamic, 0.99) / p99,
    )
