"""What it costs and saves to divide routes into links that share sessions.

    python -m benchmarks.joints --model gusodrop --precision fp32 --joints none default 3 5 7 4,6

For every way to divide: how many sessions all routes need, what building and running them takes (processor time and
memory, each in a fresh process), and the latency of some routes over that of undivided ones: groups of four frames in
the order undivided, divided, divided, undivided, and the ratio of the groups' medians.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from time import process_time

from bench.statistics.quantiles import quantile
from benchmarks.gating.building import memory_mib
from benchmarks.gating.fresh import in_fresh_process
from benchmarks.gating.routes import choose_routes
from benchmarks.gating.static import random_image, whole_segment
from benchmarks.gating.turns import Run, in_turns
from benchmarks.machine import machine_lines
from devices.boards.detection import detect
from edge.backends.base import Executable
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.fused import FusedCompiler
from edge.backends.onnxruntime.process import this_process
from edge.backends.onnxruntime.spans import Link, Spans
from edge.bundle import Bundle, open_bundle
from edge.models import model_folder
from edge.network import Route

NONE, DEFAULT = "none", "default"


@dataclass(frozen=True, slots=True)
class AllRoutes:
    """Every route compiled and run once in a process of its own; `open_mib` is what it held before."""

    joints: tuple[int, ...]
    sessions: int
    compile_s: float
    open_mib: float
    all_mib: float


def build_all(folder: Path, precision: str, how: str) -> AllRoutes:
    """For a process of its own."""
    bundle = open_bundle(folder)
    compiler = _compiler(bundle, precision, how)
    image = random_image(bundle.network)
    routes = choose_routes(len(bundle.network.gates), None)
    full = compiler.compile(whole_segment(bundle.network, bundle.network.full_route))
    full.run(image)
    open_mib = memory_mib()
    began = process_time()
    executables = [compiler.compile(whole_segment(bundle.network, route)) for route in routes]
    compile_s = process_time() - began
    for executable in executables:
        executable.run(image)
    links = {link for route in routes for link in _links(compiler, bundle, route)}
    return AllRoutes(compiler.spans.joints, len(links), compile_s, open_mib, memory_mib())


def compare(
    folder: Path, precision: str, how: str, routes: list[Route], groups: int
) -> list[tuple[Route, float, float]]:
    """For every route its latency undivided in microseconds, and the ratio; for a process of its own."""
    bundle = open_bundle(folder)
    image = random_image(bundle.network)
    whole, divided = (_compiler(bundle, precision, each) for each in (NONE, how))
    found = []
    for route in routes:
        segment = whole_segment(bundle.network, route)
        runs = [_run_of(compiler.compile(segment)) for compiler in (whole, divided)]
        times = in_turns(runs[0], runs[1], image, groups)
        undivided = quantile((times[:, 0] + times[:, 3]) / 2e3, 0.5)
        found.append((route, undivided, quantile((times[:, 1] + times[:, 2]) / 2e3, 0.5) / undivided))
    return found


def main() -> None:
    arguments = _parser().parse_args()
    print("\n".join(machine_lines(detect().environment())))
    folder = model_folder(arguments.model)
    routes = choose_routes(len(open_bundle(folder).network.gates), arguments.routes)
    print(f"{arguments.model}, {arguments.precision}, {arguments.pairs} groups a route")
    print(
        "joints         sessions  compiling  all routes   latency over undivided: median, worst, extra on the shortest"
    )
    for how in arguments.joints:
        built = in_fresh_process(build_all, folder, arguments.precision, how)
        ratios = in_fresh_process(compare, folder, arguments.precision, how, routes, arguments.pairs)
        _, shortest_us, its_ratio = min(ratios, key=lambda row: row[1])
        only = [ratio for _, _, ratio in ratios]
        name = ",".join(map(str, built.joints)) or NONE
        print(
            f"{name:14} {built.sessions:8} {built.compile_s:8.2f} s {built.all_mib - built.open_mib:+8.1f} MiB   "
            f"{quantile(only, 0.5):.3f}, {max(only):.3f}, {(its_ratio - 1) * shortest_us:+.0f} us of {shortest_us:.0f}",
            flush=True,
        )


def _compiler(bundle: Bundle, precision: str, how: str) -> FusedCompiler:
    """The fused compiler of a bundle, with the joints asked for."""
    opened = OnnxRuntime(precision=precision).open(bundle, 1)
    compiler = opened.compiler
    assert isinstance(compiler, FusedCompiler), opened.describe()["why"]
    if how != DEFAULT:
        joints = () if how == NONE else tuple(map(int, how.split(",")))
        compiler = FusedCompiler(
            this_process(), bundle.network, compiler.pieces, precision, Spans(bundle.network, joints)
        )
    return compiler


def _run_of(executable: Executable) -> Run:
    return lambda image: executable.run(image)[1]


def _links(compiler: FusedCompiler, bundle: Bundle, route: Route) -> list[Link]:
    return compiler.spans.links(whole_segment(bundle.network, route))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.joints", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", default="gusodrop", help="a shipped bundle's name, or the folder of one")
    add("--precision", choices=("fp32", "int8"), default="fp32")
    add("--joints", nargs="+", default=[NONE, DEFAULT], help="places in the trunk, as in 4,6; none; or default")
    add("--routes", type=int, default=8, help="how many are timed")
    add("--pairs", type=int, default=50, help="groups of four frames a route")
    return parser


if __name__ == "__main__":
    main()
