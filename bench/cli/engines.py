"""`edgebench export --format tensorrt`: a bundle's stages as engines, built into the user's cache."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from bench.cli.errors import RequestError, Status
from bench.cli.progress import progress
from bench.cli.streams import note

if TYPE_CHECKING:
    from edge.backends.tensorrt.engines import Boundary, Engine
    from edge.backends.tensorrt.obtain import Obtained, SingleGraph
    from edge.bundle import Bundle
    from edge.network import Network, Segment

_NOT_FOR_ENGINES = {"out": "--out", "work": "--work", "data": "--data"}


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of engines."""
    group = parser.add_argument_group("with --format tensorrt (engines go to ~/.cache/edgebench)")
    group.add_argument(
        "--precision", choices=("fp32", "fp16", "int8"), default="fp16", help="default fp16, as a run takes"
    )
    group.add_argument("--target", metavar="SM", help="the GPU to build for, such as sm86 (default: this machine's)")
    group.add_argument(
        "--route", action="append", default=[], metavar="BITS", help="fuse the segments of this route too; repeatable"
    )
    group.add_argument(
        "--single-graph",
        nargs="?",
        type=_threshold,
        const=0.9,
        metavar="THRESHOLD",
        help="also build the whole network with its gates and exits as If; exits answer from this softmax on (0.9)",
    )
    group.add_argument("--rebuild", action="store_true", help="build engines anew that are in the cache")


def build_engines(arguments: argparse.Namespace) -> Status:
    """Build what the cache has not, and say what there is."""
    for name, option in _NOT_FOR_ENGINES.items():
        if getattr(arguments, name) is not None:
            hint = "Engines are code and are loaded from the user's own cache alone, so that is where they go."
            raise RequestError("usage", f"{option} has no meaning with --format tensorrt", hint)
    from edge.backends.tensorrt.obtain import Request, obtain
    from edge.bundle import open_bundle
    from edge.models import model_folder

    bundle = open_bundle(model_folder(arguments.trained))
    request = Request(
        arguments.precision,
        arguments.target,
        _segments(bundle.network, arguments.route),
        _single_graph(bundle.network, arguments.single_graph),
        rebuild=arguments.rebuild,
    )
    with progress() as show:
        obtained = obtain(bundle, request, show)
    for line in obtained.notes:
        note(line)
    if obtained.unkept is not None:
        hint = "Free some space, or name a folder of your own with XDG_CACHE_HOME."
        raise RequestError("cache", f"the engines were built and cannot be kept ({obtained.unkept})", hint)
    if arguments.json:
        from bench.report.document import render_json

        print(render_json(document(bundle, obtained)))
    else:
        print(text(bundle, obtained))
    return Status.DONE


def document(bundle: Bundle, obtained: Obtained) -> dict[str, Any]:
    """What there is now, as JSON."""
    engines = obtained.engines
    return {
        "schema": 1,
        "bundle": {"name": bundle.name, "folder": str(bundle.folder), "digest": bundle.digest},
        "library": engines.library,
        "version": engines.version,
        "target": engines.target,
        "precision": engines.precision,
        "built": obtained.built,
        "engines": [
            {
                "name": name,
                "kind": kind,
                "size_bytes": len(engine.plan),
                "inputs": [_boundary(boundary) for boundary in engine.inputs],
                "outputs": [_boundary(boundary) for boundary in engine.outputs],
            }
            for name, kind, engine in _listed(bundle.network, obtained)
        ],
    }


def text(bundle: Bundle, obtained: Obtained) -> str:
    """What there is now, in a table."""
    engines, listed = obtained.engines, _listed(bundle.network, obtained)
    size_mb = sum(len(engine.plan) for _, _, engine in listed) / 1e6
    rows = [("engine", "size", "in", "out")]
    rows += [
        (name, f"{len(engine.plan) / 1e6:.2f} MB", _sides(engine.inputs), _sides(engine.outputs))
        for name, _, engine in listed
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    table = [
        f"  {name:<{widths[0]}}  {size:>{widths[1]}}  {taken:<{widths[2]}}  {given}"
        for name, size, taken, given in rows
    ]
    first = (
        f"{bundle.name} in {engines.precision} for {engines.target}: {len(listed)} engines, {size_mb:.1f} MB, by "
        f"{engines.library} {engines.version}; {obtained.built} built now, {len(listed) - obtained.built} were there"
    )
    return "\n".join([first, *table])


def _listed(network: Network, obtained: Obtained) -> list[tuple[str, str, Engine]]:
    """Every engine with its name and kind."""
    engines = obtained.engines
    listed = [(stage, network.stages[stage].kind, engine) for stage, engine in engines.stages.items()]
    found: list[tuple[str, str, Engine]] = [*listed]
    found += [(_chain(segment), "segment", engine) for segment, engine in engines.segments.items()]
    if engines.single_graph is not None:
        found.append(("single graph", "single graph", engines.single_graph))
    return found


def _chain(segment: Segment) -> str:
    """`stem..head`: where a fused segment begins and ends, and how many stages it has."""
    chain = (*segment.stages, segment.head)
    return f"{chain[0]}..{chain[-1]} ({len(chain)} stages)"


def _sides(boundaries: tuple[Boundary, ...]) -> str:
    """The first of them; a graph with gates as inputs has many."""
    first = boundaries[0]
    shape = "x".join(map(str, first.shape))
    more = f" and {len(boundaries) - 1} more" if len(boundaries) > 1 else ""
    return f"{first.element} {first.layout} {shape}{more}"


def _boundary(boundary: Boundary) -> dict[str, Any]:
    return {
        "name": boundary.name,
        "shape": list(boundary.shape),
        "element": boundary.element,
        "layout": boundary.layout,
        "size_bytes": boundary.size_bytes,
    }


def _segments(network: Network, routes: list[str]) -> list[Segment]:
    """All segments that a frame on these routes may run, from exit to exit, each once."""
    try:
        checked = [network.check_route(route) for route in routes]
    except ValueError as error:
        raise RequestError("usage", str(error)) from error
    starts = (0, *network.exit_positions[:-1])
    found = [network.segment(route, start, index) for route in checked for index, start in enumerate(starts)]
    return list(dict.fromkeys(found))


def _single_graph(network: Network, threshold: float | None) -> SingleGraph | None:
    if threshold is None:
        return None
    from edge.backends.tensorrt.obtain import SingleGraph
    from export.onnx.nested import nested

    thresholds = [threshold] * (len(network.exits) - 1)
    name = f"single graph of gates and exits at {threshold:g}"
    return SingleGraph(name, lambda models: nested(models, thresholds, gates_as_inputs=True))


def _threshold(word: str) -> float:
    threshold = float(word)
    if not 0 <= threshold <= 1:
        raise argparse.ArgumentTypeError(f"{word} lies outside [0, 1], for example 0.9")
    return threshold
