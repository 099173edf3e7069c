"""Where the time of asking exits goes: the graph, the calls between exits, or Python.

    python -m benchmarks.exit_parts --model sdn-mobilenet-cifar10

Each way classifies ten frames in a row, all ways in turns; medians over the rounds.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import numpy as np

from benchmarks.exits import IN_A_ROW, StopsAt, cut_with_heads
from benchmarks.gating.__main__ import machine_lines
from benchmarks.gating.static import random_image, static_networks
from benchmarks.gating.turns import WARM_UP_FRAMES, Image, no_garbage_collection
from devices.boards.linux import read_environment
from edge.backends.base import Features
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import Bundle, open_bundle
from edge.models import model_folder
from edge.runtime import Runtime

Way = Callable[[Image], object]


def ways_to(bundle: Bundle, threads: int, exit_index: int) -> dict[str, Way]:
    """What is compared, up to an exit."""
    network, route = bundle.network, bundle.network.full_route
    graphs = static_networks(bundle, threads)
    backend = OnnxRuntime().open(bundle, threads)
    cut = graphs.run(network.segment(route, 0, exit_index))
    segment = backend.compile(network.segment(route, 0, exit_index))
    starts = (0, *network.exit_positions[:exit_index])
    chain = [backend.compile(network.segment(route, start, index)) for index, start in enumerate(starts)]

    def chained(image: Image) -> None:
        features: Features | None = image
        for each in chain:
            features, _ = each.run(features)

    alone, asked = (Runtime(network, backend, StopsAt(exit_index, every)).infer for every in (False, True))
    return {
        "static graph": cut,
        "the segment, called": segment.run,
        "the runtime, this exit asked": alone,
        "static graph with all heads": cut_with_heads(bundle, exit_index, threads),
        "segments to each exit, called": chained,
        "the runtime, every exit asked": asked,
    }


def in_turns(ways: dict[str, Way], image: Image, rounds: int, in_a_row: int) -> dict[str, Any]:
    """Microseconds of a frame (rounds,) of each way."""
    times: dict[str, Any] = {name: np.empty(rounds) for name in ways}
    for run in ways.values():
        for _ in range(WARM_UP_FRAMES):
            run(image)
    with no_garbage_collection():
        for number in range(rounds):
            order = list(ways.items())
            for name, run in order if number % 2 else reversed(order):
                began = perf_counter_ns()
                for _ in range(in_a_row):
                    run(image)
                times[name][number] = (perf_counter_ns() - began) / in_a_row / 1e3
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.exit_parts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--model", default="sdn-mobilenet-cifar10", metavar="NAME_OR_FOLDER")
    add("--threads", type=int, default=1)
    add("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    bundle = open_bundle(model_folder(arguments.model))
    print("\n".join(machine_lines(read_environment())), f"load {os.getloadavg()[0]:.1f}", sep="\n")
    image, last = random_image(bundle.network), len(bundle.network.exits) - 1
    for exit_index in (0, last):
        ways = ways_to(bundle, arguments.threads, exit_index)
        for frames in (1, IN_A_ROW):
            times = in_turns(ways, image, arguments.rounds, frames)
            print(f"\n{bundle.name}, exit {exit_index}, {frames} frame(s) in a row: us, and over the static graph")
            for name, found in times.items():
                static = times["static graph with all heads" if "each" in name or "every" in name else "static graph"]
                print(f"  {name:32}{np.median(found):9.1f}{np.median(found / static):9.3f}")


if __name__ == "__main__":
    main()
