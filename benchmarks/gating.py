"""What gating costs: a route as fused and as staged segments, against the same route as a static network.

    python benchmarks/gating.py --model BUNDLE --threads 1 --routes 8 --groups 50

The static network is the route's stages joined into one ONNX graph with a session of its own.  Frames run in the order
A B B A, and a group's ratio is (B + B) / (A + A); "control" is a second session of the static network.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from edge.backends.models import StageModels
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.calls import Call
from edge.backends.onnxruntime.compose import compose, segment_inputs
from edge.backends.onnxruntime.process import this_process
from edge.bundle import open_bundle
from edge.network import Network, Route

Run = Callable[[NDArray[np.float32]], object]
PLANS = ("control", "fused", "staged")


def routes_to_measure(network: Network, count: int) -> list[Route]:
    """The full route, the empty one, and others drawn with a seed."""
    gates = len(network.gates)
    routes = dict.fromkeys(["1" * gates, "0" * gates])
    generator = np.random.default_rng(0)
    while len(routes) < min(count, 2**gates):
        routes["".join("01"[bit] for bit in generator.integers(0, 2, gates))] = None
    return list(routes)[:count]


def static_run(models: StageModels, route: Route) -> Run:
    """The route as a static network in a session of its own, called as the segments are."""
    network = models.network
    inputs = segment_inputs(network.segment(route, 0, len(network.exits) - 1))
    static = compose(network, {stage: models.stage_model(stage) for stage in inputs}, inputs)
    # Only the scores may come out: each output more would cost a conversion.
    del static.graph.output[:-1]
    process = this_process()
    call = Call(process.ort, process.session(static.SerializeToString(), process.options(optimise=True)))

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        call.run(image)
        scores: NDArray[np.float32] = call.outputs[0].array[0].copy()
        return scores

    return run


def ratios(first: Run, second: Run, image: NDArray[np.float32], groups: int) -> tuple[list[float], list[float]]:
    """For every group, (ratio of the second to the first, milliseconds of the first)."""
    found, first_ms = [], []
    for _ in range(groups):
        times = []
        for run in (first, second, second, first):
            began = perf_counter_ns()
            run(image)
            times.append(perf_counter_ns() - began)
        found.append((times[1] + times[2]) / (times[0] + times[3]))
        first_ms.append((times[0] + times[3]) / 2e6)
    return found, first_ms


def machine() -> str:
    """Where and when, in a line."""
    try:
        names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = []
    processor = names[0] if names else platform.machine()
    load = os.getloadavg()[0]
    today = datetime.date.today().isoformat()
    version = this_process().version
    return f"{processor}, {os.cpu_count()} cores, load {load:.1f}, onnxruntime {version}, {today}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of a bundle")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--routes", type=int, default=8)
    parser.add_argument("--groups", type=int, default=50)
    options = parser.parse_args()
    bundle = open_bundle(options.model)
    network = bundle.network
    backends = {plan: OnnxRuntime(plan).open(bundle, options.threads) for plan in ("fused", "staged")}
    if backends["fused"].describe()["plan"] != "fused":
        raise SystemExit(f"this bundle cannot be fused: {backends['fused'].describe()['why']}")
    image = np.random.default_rng(0).random(network.stages[network.order[0]].input.shape, np.float32)

    print(f"{bundle.name}, {options.threads} thread(s), {options.groups} groups; {machine()}")
    print("latency / static network, median (quartiles)")
    print(f"{'route':12s}{'static ms':>10s}" + "".join(f"{plan:>22s}" for plan in PLANS))
    for route in routes_to_measure(network, options.routes):
        segment = network.segment(route, 0, len(network.exits) - 1)
        static = static_run(bundle, route)
        runs = {"control": static_run(bundle, route)}
        runs.update((plan, backend.compile(segment).run) for plan, backend in backends.items())
        columns, static_ms = [], []
        for plan in PLANS:
            ratios(static, runs[plan], image, 5)
            found, measured_ms = ratios(static, runs[plan], image, options.groups)
            static_ms += measured_ms
            low, median, high = np.quantile(found, (0.25, 0.5, 0.75))
            columns.append(f"{median:8.3f} ({low:.3f}-{high:.3f})")
        print(f"{route or '-':12s}{np.median(static_ms):10.3f}" + "".join(f"{column:>22s}" for column in columns))


if __name__ == "__main__":
    main()
