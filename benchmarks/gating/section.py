"""One network on one number of threads: everything that is measured of it, each part in processes of its own."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from benchmarks.gating.building import Built, FirstFrames, build_routes, first_frames, static_memory_mib
from benchmarks.gating.decisions import decided_ways, measure_decisions
from benchmarks.gating.frames import FrameRatio, measure_frames
from benchmarks.gating.fresh import in_fresh_process
from benchmarks.gating.limits import worst
from benchmarks.gating.neighbours import NeighbourRatio, measure_neighbours
from benchmarks.gating.plans import CONTROL, FUSED, PLANS, measure_int8, measure_plans
from benchmarks.gating.pools import PoolLatency, compare_pools
from benchmarks.gating.routes import choose_routes
from benchmarks.gating.static import write_static_network
from benchmarks.gating.turns import RouteTax
from edge.bundle import Bundle
from edge.network import Route

PARTS = ("building", "taxes", "pools", "frames", "neighbours", "int8", "decisions", "eager", "compiled")
_TORCH_PLANS = {"eager": "eager torch", "compiled": "torch.compile"}


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    `routes` of the fused plan (None: all), of which the first `compared` are measured under the other plans too, the
    first `eager` in eager torch and the first `compiled` with torch.compile; `groups` of four frames a route;
    `frames` in life, with all routes compiled and with at most `segments_kept`; `rounds` of neighbours.
    """

    routes: int | None
    compared: int = 32
    eager: int = 10
    compiled: int = 3
    groups: int = 50
    frames: int = 1000
    segments_kept: int = 64
    rounds: int = 8
    frames_a_round: int = 60


@dataclass(slots=True)
class Section:
    """What was measured of a network; a part that was not measured is None or empty, and `notes` may say why."""

    network: str
    digest: str
    input_shape: tuple[int, ...]
    threads: int
    load_before: float
    load_after: float | None = None
    built: list[Built] = field(default_factory=list)
    static_memory_mib: float | None = None
    first_frames: FirstFrames | None = None
    taxes: list[RouteTax] = field(default_factory=list)
    again: list[RouteTax] = field(default_factory=list)
    int8: list[RouteTax] = field(default_factory=list)
    decisions: list[RouteTax] = field(default_factory=list)
    pools: list[PoolLatency] = field(default_factory=list)
    frames: list[FrameRatio] = field(default_factory=list)
    neighbours: list[NeighbourRatio] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def measure_section(
    bundle: Bundle, threads: int, effort: Effort, parts: Sequence[str], tell: Callable[[str], None]
) -> Section:
    """Measure the parts asked for, in the order of `PARTS`; `tell` is told what comes next."""
    section = Section(bundle.name, bundle.digest, bundle.manifest.input_shape, threads, load_before=os.getloadavg()[0])
    routes = choose_routes(len(bundle.network.gates), effort.routes)
    measures: dict[str, Callable[[], None]] = {
        "building": lambda: _building(section, bundle, routes),
        "taxes": lambda: _taxes(section, bundle, effort, routes),
        "pools": lambda: _pools(section, bundle, effort, routes),
        "frames": lambda: _frames(section, bundle, effort),
        "neighbours": lambda: _neighbours(section, bundle, effort),
        "int8": lambda: _int8(section, bundle, effort, routes),
        "decisions": lambda: _decisions(section, bundle, effort, routes),
        "eager": lambda: _torch(section, bundle, effort.groups, "eager", routes[: effort.eager]),
        "compiled": lambda: _torch(section, bundle, effort.groups, "compiled", routes[: effort.compiled]),
    }
    for part in PARTS:
        if part in parts:
            tell(f"{bundle.name}, {threads} thread(s): {part}")
            began = monotonic()
            # Much else is measured yet: what cannot be measured here (no C++ compiler, no memory) is said, and the
            # rest goes on.
            try:
                measures[part]()
            except Exception as error:
                sentence = (str(error).strip().splitlines() or [type(error).__name__])[0]
                section.notes.append(f"{part}: not measured: {sentence}")
            section.seconds[part] = round(monotonic() - began, 1)
    section.load_after = os.getloadavg()[0]
    return section


def _building(section: Section, bundle: Bundle, routes: Sequence[Route]) -> None:
    everything = choose_routes(len(bundle.network.gates), None)
    # The first finds an empty cache, the second what the first left there.
    section.built = [in_fresh_process(build_routes, bundle.folder, section.threads, everything) for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "static.onnx")
        in_fresh_process(write_static_network, bundle.folder, bundle.network.full_route, model)
        section.static_memory_mib = in_fresh_process(
            static_memory_mib, model, section.threads, bundle.manifest.input_shape
        )
    section.first_frames = in_fresh_process(first_frames, bundle.folder, section.threads, routes)


def _taxes(section: Section, bundle: Bundle, effort: Effort, routes: Sequence[Route]) -> None:
    compared = routes[: effort.compared]
    wanted = {plan: routes if plan == FUSED else compared for plan in PLANS}
    section.taxes += in_fresh_process(measure_plans, bundle.folder, section.threads, effort.groups, wanted)
    slowest = [measured.route for measured in worst(of_plan(section.taxes, FUSED))]
    wanted = {CONTROL: slowest, FUSED: slowest}
    section.again = in_fresh_process(measure_plans, bundle.folder, section.threads, effort.groups, wanted)


def _pools(section: Section, bundle: Bundle, effort: Effort, routes: Sequence[Route]) -> None:
    if section.threads == 1:
        section.notes.append("pools: not measured: one thread needs none")
        return
    # All kept, none kept, and one block dropped.
    section.pools = compare_pools(bundle.folder, section.threads, 2 * effort.groups, routes[:3])


def _frames(section: Section, bundle: Bundle, effort: Effort) -> None:
    limits = (2 ** len(bundle.network.gates), effort.segments_kept)
    section.frames = in_fresh_process(measure_frames, bundle.folder, section.threads, effort.frames, limits)


def _neighbours(section: Section, bundle: Bundle, effort: Effort) -> None:
    section.neighbours = in_fresh_process(
        measure_neighbours, bundle.folder, section.threads, effort.rounds, effort.frames_a_round
    )


def _int8(section: Section, bundle: Bundle, effort: Effort, routes: Sequence[Route]) -> None:
    chosen = routes[: effort.compared]
    section.int8 = in_fresh_process(measure_int8, bundle.folder, section.threads, effort.groups, chosen)


def _decisions(section: Section, bundle: Bundle, effort: Effort, routes: Sequence[Route]) -> None:
    # With exits there are many ways a route.
    chosen = routes[: max(1, effort.compared // len(bundle.network.exits))]
    if not any(decided_ways(bundle.network, chosen[:1])):
        section.notes.append("decisions: not measured: this network decides once, before its first block")
        return
    section.decisions = in_fresh_process(measure_decisions, bundle.folder, section.threads, effort.groups, chosen)


def _torch(section: Section, bundle: Bundle, groups: int, part: str, routes: Sequence[Route]) -> None:
    plan = _TORCH_PLANS[part]
    if importlib.util.find_spec("torch") is None:
        section.notes.append(f"{part}: not measured: torch is not installed")
        return
    from benchmarks.gating.torch_plans import measure_torch

    section.taxes += in_fresh_process(measure_torch, bundle.folder, section.threads, groups, plan, routes)


def of_plan(taxes: Sequence[RouteTax], plan: str) -> list[RouteTax]:
    """The taxes of one plan."""
    return [measured for measured in taxes if measured.plan == plan]
