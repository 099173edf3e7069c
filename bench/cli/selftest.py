"""`edgebench selftest`: whether a backend computes what it should, on this machine."""

from __future__ import annotations

import argparse
import json
import statistics
from contextlib import closing
from typing import Any

from bench.cli.arguments import whole
from bench.cli.errors import RequestError, Status
from bench.cli.streams import note, reader_may_leave
from bench.contenders import computes
from bench.registry import make
from bench.selftest import MOST_ERROR, Deviation, RouteTime, deviations, route_times
from edge.bundle import Bundle, open_bundle
from edge.models import model_folder

EPILOG = """\
Runs every route to every exit on the backend and stage by stage on ONNX Runtime's
processor backend, and compares the scores; then times routes beside the same
routes as one static graph.  Status 1 if a path is off by more than the limit.

examples:
  edgebench selftest --backend tensorrt
  edgebench selftest --backend onnxruntime:cuda --model ./my-bundle --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("--backend", default="onnxruntime", metavar="SPEC", help="what to test (default %(default)s)")
    add("--model", default="gusodrop", metavar="NAME_OR_FOLDER", help="on which network (default %(default)s)")
    add("--images", type=whole, default=2, metavar="N", help="how many images each path sees (default %(default)s)")
    add("--threads", type=whole, default=1, metavar="N", help="cores that the network may use (default 1)")
    add("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    from edge.backends.onnxruntime.backend import OnnxRuntime

    bundle = open_bundle(model_folder(arguments.model))
    options, spec = make("backends", arguments.backend)
    if not computes(options):
        raise RequestError("backend", f"backend {spec} computes nothing that could be tested", "Choose another.")
    note(f"preparing {bundle.name} on {spec}")
    threads = arguments.threads
    with (
        closing(options.open(bundle, threads)) as backend,
        closing(OnnxRuntime(plan="staged").open(bundle, threads)) as judge,
    ):
        for remark in getattr(backend, "remarks", list)():
            note(f"note: {remark}")
        found = list(deviations(bundle.network, backend, judge, arguments.images))
        note("timing routes beside static graphs")
        times = route_times(bundle.network, backend, _static(backend, options, bundle, threads))
        details = backend.describe()
    limit = MOST_ERROR[getattr(options, "precision", "fp32")]
    failed = [each for each in found if not each.error <= limit]
    with reader_may_leave():
        if arguments.json:
            print(json.dumps(_document(bundle, spec, details, limit, found, times), indent=2))
        else:
            print("\n".join(_lines(bundle, spec, details, limit, found, times)))
    return Status.LIMIT_FAILED if failed else Status.DONE


def _static(backend: Any, options: Any, bundle: Bundle, threads: int) -> Any:
    """Who makes one graph of a segment: the backend itself, or ONNX Runtime."""
    if hasattr(backend, "static"):
        return backend.static
    from edge.backends.onnxruntime.process import this_process
    from edge.backends.onnxruntime.providers import ProviderCompiler

    process = this_process()
    process.use(threads)
    stages = {stage: bundle.stage_model(stage) for stage in bundle.network.stages}
    return ProviderCompiler(process, bundle.network, stages, getattr(options, "provider", "cpu")).compile


def _lines(
    bundle: Bundle, spec: str, details: dict[str, str], limit: float, found: list[Deviation], times: list[RouteTime]
) -> list[str]:
    worst = max(found, key=lambda each: each.error)
    failed = [each for each in found if not each.error <= limit]
    where = "the policy" if worst.exit is None else f"route {worst.route or '-'}, exit {worst.exit}"
    lines = [
        f"{bundle.name} on {spec} ({details.get('name', spec)} {details.get('version', '')})".replace(" )", ")"),
        f"{len(found):,} paths beside onnxruntime on the processor, {len(failed):,} of them off by more than {limit:g}",
        f"worst: {where}, off by {worst.error:.2g} of the largest score",
        "",
        f"{'route':<{max(5, len(times[0].route))}}  {'ms':>8}  {'static':>8}  {'ratio':>6}",
    ]
    width = max(5, len(times[0].route))
    lines += [
        f"{each.route or '-':<{width}}  {each.backend_ms:8.3f}  {each.static_ms:8.3f}  {each.ratio:6.3f}"
        for each in times
    ]
    lines += [f"median ratio {statistics.median(each.ratio for each in times):.3f}", ""]
    lines += [f"{key}: {value}" for key, value in details.items() if key not in ("name", "version")]
    return [*lines, "", "failed" if failed else "passed"]


def _document(
    bundle: Bundle, spec: str, details: dict[str, str], limit: float, found: list[Deviation], times: list[RouteTime]
) -> dict[str, Any]:
    worst = max(found, key=lambda each: each.error)
    return {
        "schema": 1,
        "model": bundle.name,
        "bundle": {"digest": bundle.digest},
        "backend": spec,
        "backend_details": details,
        "paths": len(found),
        "limit": limit,
        "failed": [{"route": each.route, "exit": each.exit} for each in found if not each.error <= limit],
        "worst": {"route": worst.route, "exit": worst.exit, "error": worst.error if worst.error < 1e9 else None},
        "routes": [
            {"route": each.route, "backend_ms": each.backend_ms, "static_ms": each.static_ms, "ratio": each.ratio}
            for each in times
        ],
    }
