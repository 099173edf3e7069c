"""The ways in which this project and ONNX Runtime can run a route, each against the static network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.gating.conditional import ConditionalNetwork
from benchmarks.gating.static import StaticNetworks, random_image, static_networks, whole_segment
from benchmarks.gating.turns import Image, RouteTax, Run, in_turns, tax_of
from edge.backends.base import Backend
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.process import this_process
from edge.backends.onnxruntime.verify import TOLERANCE, relative_error
from edge.bundle import Bundle, open_bundle
from edge.network import Route, Segment

# A static network against itself says what the method cannot see.
CONTROL, FUSED, STAGED, CONDITIONAL = "control", "fused", "staged", "If"
PLANS = (CONTROL, FUSED, STAGED, CONDITIONAL)
# The static int8 network over the static float32 one, and int8 through the runtime over the static int8 network.
INT8, INT8_FUSED = "int8 / fp32", "int8 fused"


class WrongScoresError(Exception):
    """What is measured does not classify as the static network does, so that its latency says nothing."""


def measure_plans(
    folder: Path, threads: int, groups: int, routes_by_plan: Mapping[str, Sequence[Route]]
) -> list[RouteTax]:
    """The tax of every plan on its routes; for a process of its own.

    Each route's static network is built, measured against and dropped, since 256 of them would fill the memory.
    """
    bundle = open_bundle(folder)
    static = static_networks(bundle, threads)
    ways = {plan: _way(plan, bundle, threads, static) for plan in routes_by_plan}
    image = random_image(bundle.network)
    taxes = []
    for route in dict.fromkeys(route for routes in routes_by_plan.values() for route in routes):
        reference = static.route(route)
        for plan, routes in routes_by_plan.items():
            if route in routes:
                run = ways[plan](route)
                check_scores(plan, route, reference, run, image)
                taxes.append(RouteTax(plan, route, tax_of(in_turns(reference, run, image, groups))))
                del run
        del reference
    return taxes


def measure_int8(folder: Path, threads: int, groups: int, routes: Sequence[Route]) -> list[RouteTax]:
    """What int8 saves, and what gating costs there; for a process of its own.

    Scores in int8 are compared among themselves alone: how far they are from float32's is a question of accuracy.
    """
    bundle = open_bundle(folder)
    static, static_int8 = (static_networks(bundle, threads, precision) for precision in ("fp32", "int8"))
    backend = OnnxRuntime(precision="int8").open(bundle, threads)
    image = random_image(bundle.network)
    taxes = []
    for route in routes:
        reference, fused = static_int8.route(route), _compiled(backend, whole_segment(bundle.network, route))
        check_scores(INT8_FUSED, route, reference, fused, image)
        taxes.append(RouteTax(INT8_FUSED, route, tax_of(in_turns(reference, fused, image, groups))))
        taxes.append(RouteTax(INT8, route, tax_of(in_turns(static.route(route), reference, image, groups))))
    return taxes


def check_scores(plan: str, route: Route, reference: Run, run: Run, image: Image) -> None:
    """Raise WrongScoresError where the two differ."""
    error = relative_error(run(image), reference(image))
    if not error <= TOLERANCE:
        raise WrongScoresError(f"{plan} differs on route {route} by {error:.1e} of the largest score")


def _way(plan: str, bundle: Bundle, threads: int, static: StaticNetworks) -> Callable[[Route], Run]:
    """What gives a route's callable under a plan."""
    if plan == CONTROL:
        return static.route
    if plan == CONDITIONAL:
        return ConditionalNetwork(bundle, this_process()).run
    backend = OnnxRuntime(plan=plan).open(bundle, threads)
    used = backend.describe()
    if used["plan"] != plan:
        raise WrongScoresError(f"{bundle.name} cannot be run as {plan}: {used['why']}")

    return lambda route: _compiled(backend, whole_segment(bundle.network, route))


def _compiled(backend: Backend, segment: Segment) -> Run:
    executable = backend.compile(segment)
    return lambda image: executable.run(image)[1]
