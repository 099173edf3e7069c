"""Where the time of asking exits goes: the graph, the calls between exits, or Python.

    python -m benchmarks.exit_parts --model sdn-mobilenet-cifar10

Of the first exit and the last, over the static graph cut there, with one frame in a row of each way and with ten; see
`benchmarks.exits`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmarks.exits import IN_A_ROW, StopsAt, cut_with_heads
from benchmarks.gating.static import random_image, static_networks
from benchmarks.gating.turns import Image, Run, Scores, in_turns, tax_of
from benchmarks.machine import machine_lines
from devices.boards.linux import read_environment
from edge.backends.base import Features
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import Bundle, open_bundle
from edge.models import model_folder
from edge.runtime import Runtime


def ways_to(bundle: Bundle, threads: int, exit_index: int) -> Iterator[tuple[str, Run, Run]]:
    """What is compared, up to an exit: a name, the static graph, and the way that is held against it."""
    network, route = bundle.network, bundle.network.full_route
    cut = static_networks(bundle, threads).run(network.segment(route, 0, exit_index))
    with_heads = cut_with_heads(bundle, exit_index, threads)
    backend = OnnxRuntime().open(bundle, threads)
    segment = backend.compile(network.segment(route, 0, exit_index))
    starts = (0, *network.exit_positions[:exit_index])
    chain = [backend.compile(network.segment(route, start, index)) for index, start in enumerate(starts)]
    alone, asked = (Runtime(network, backend, StopsAt(exit_index, every)) for every in (False, True))

    def chained(image: Image) -> Scores:
        features: Features | None = image
        for each in chain:
            features, scores = each.run(features)
        return scores

    yield "the segment, called", cut, lambda image: segment.run(image)[1]
    yield "the runtime, this exit asked", cut, lambda image: alone.infer(image).scores
    yield "segments to each exit, called", with_heads, chained
    yield "the runtime, every exit asked", with_heads, lambda image: asked.infer(image).scores


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.exit_parts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--model", default="sdn-mobilenet-cifar10", metavar="NAME_OR_FOLDER")
    add("--threads", type=int, default=1)
    add("--pairs", type=int, default=50, help="groups of four turns of each way")
    arguments = parser.parse_args()
    bundle = open_bundle(model_folder(arguments.model))
    print("\n".join(machine_lines(read_environment())))
    image, last = random_image(bundle.network), len(bundle.network.exits) - 1
    for exit_index in (0, last):
        print(f"\n{bundle.name + f', exit {exit_index}':40}{'static, us':>12}{'one':>8}{'in a row':>10}")
        for name, static, way in ways_to(bundle, arguments.threads, exit_index):
            one, row = (tax_of(in_turns(static, way, image, arguments.pairs, in_a_row=n)) for n in (1, IN_A_ROW))
            print(f"  {name:38}{row.static_us:>12.0f}{one.ratio:>8.3f}{row.ratio:>10.3f}", flush=True)


if __name__ == "__main__":
    main()
