"""What it takes until all routes are there: time, memory, and the first frame of a route."""

from __future__ import annotations

import ctypes
import ctypes.util
import gc
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import psutil
from numpy.typing import NDArray

from bench.statistics.quantiles import quantile
from benchmarks.gating.static import PROVIDERS, plain_options, random_image, run_of, whole_segment
from benchmarks.gating.turns import Image, no_garbage_collection
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.calls import Call
from edge.backends.onnxruntime.importing import import_onnxruntime
from edge.backends.onnxruntime.process import this_process
from edge.bundle import open_bundle
from edge.controllers.base import Controller
from edge.network import Route
from edge.runtime import Runtime

_WARM_FRAMES = 5


@dataclass(frozen=True, slots=True)
class Built:
    """A process with routes compiled and run once.

    `cache` says where the optimised network came from: "built" here, or "loaded".  `memory_mib` is what the process
    alone holds (USS).
    """

    cache: str
    open_s: float
    compile_s: float
    routes: int
    memory_mib: float


@dataclass(frozen=True, slots=True)
class FirstFrames:
    """What the first frame of a route takes longer than the next ones, in milliseconds."""

    routes: int
    median_ms: float
    p95_ms: float
    max_ms: float


def build_routes(folder: Path, threads: int, routes: Sequence[Route]) -> Built:
    """Open a network, compile routes and run each once; for a process of its own."""
    bundle = open_bundle(folder)
    # Every program pays for this import, the static one too.
    this_process().use(threads)
    began = perf_counter()
    backend = OnnxRuntime().open(bundle, threads)
    opened = perf_counter()
    executables = [backend.compile(whole_segment(bundle.network, route)) for route in routes]
    compiled = perf_counter()
    image = random_image(bundle.network)
    for executable in executables:
        executable.run(image)
    return Built(backend.describe()["cache"], opened - began, compiled - opened, len(routes), memory_mib())


def static_memory_mib(model: Path, threads: int, shape: Sequence[int]) -> float:
    """The memory of a process that runs one static network from a file; for a process of its own."""
    ort = import_onnxruntime()
    if threads > 1:
        ort.set_global_thread_pool_sizes(threads, 1)
    session = ort.InferenceSession(str(model), plain_options(ort, threads), providers=PROVIDERS)
    run = run_of(Call(ort, session))
    run(np.zeros(tuple(shape), np.float32))
    return memory_mib()


def first_frames(folder: Path, threads: int, routes: Sequence[Route]) -> FirstFrames:
    """Run routes of which none is compiled; for a process of its own."""
    bundle = open_bundle(folder)
    controller = Unprepared()
    runtime = Runtime(bundle.network, OnnxRuntime().open(bundle, threads), controller)
    image = random_image(bundle.network)
    # The first session of a process takes longer than any other.
    _first_frame_ms(runtime, controller, bundle.network.full_route, image)
    with no_garbage_collection():
        extra = [
            _first_frame_ms(runtime, controller, route, image) for route in routes if route != bundle.network.full_route
        ]
    return first_frames_of(np.array(extra))


def first_frames_of(extra_ms: NDArray[np.float64]) -> FirstFrames:
    """The figures of milliseconds (routes,) that first frames took longer."""
    return FirstFrames(len(extra_ms), quantile(extra_ms, 0.5), quantile(extra_ms, 0.95), float(extra_ms.max()))


class Unprepared(Controller):
    """Takes the route it is given, and says of none that it is likely."""

    route: Route = ""

    def gates(self, probabilities: NDArray[np.float32] | None) -> Route:
        return self.route

    def likely_routes(self) -> list[Route]:
        return []


def _first_frame_ms(runtime: Runtime, controller: Unprepared, route: Route, image: Image) -> float:
    controller.route = route
    first, *rest = (runtime.infer(image).timings.inference_ns for _ in range(1 + _WARM_FRAMES))
    return (first - quantile(rest, 0.5)) / 1e6


def memory_mib() -> float:
    """What this process alone holds (USS), once what was freed is given back."""
    gc.collect()
    # What was freed is given back first: it is no cost of what is there.  Only glibc has this call.
    with suppress(AttributeError, OSError):
        ctypes.CDLL(ctypes.util.find_library("c")).malloc_trim(0)
    return float(psutil.Process().memory_full_info().uss) / 2**20
