"""What gating costs, in tables.

    python -m benchmarks.gating --model gusodrop --json gating.json

Measures the model, and a ResNet18 for 224 px with random weights, on every number of threads asked for.  A tax is the
latency of a route over that of the same route exported as one static ONNX graph: groups of four frames in the order
static, other, other, static; the ratio of a group is that of its sums, and the figure the median over the groups.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from time import monotonic

from benchmarks.gating.document import Document, write_document
from benchmarks.gating.imagenet import write_imagenet_bundle
from benchmarks.gating.section import PARTS, Effort, Section, measure_section
from benchmarks.gating.tables import lines
from benchmarks.gating.verdict import judge
from benchmarks.machine import machine_lines
from devices.boards.detection import detect
from edge.bundle import Bundle, open_bundle
from edge.models import model_folder

_QUICK = Effort(
    routes=3, compared=3, eager=1, compiled=1, groups=3, frames=12, segments_kept=2, rounds=2, frames_a_round=3
)
_QUICK_SIZE = 32


def main() -> None:
    arguments = _parser().parse_args()
    began = monotonic()
    environment = detect().environment()
    machine, date = tuple(machine_lines(environment)), datetime.now(timezone.utc).isoformat(timespec="seconds")
    print("\n".join(machine), flush=True)
    sections: list[Section] = []
    with tempfile.TemporaryDirectory() as folder:
        for bundle, effort in _networks(arguments, Path(folder)):
            for threads in arguments.threads:
                with _empty_cache():
                    section = measure_section(bundle, threads, effort, arguments.parts, _tell)
                sections.append(section)
                print("\n" + "\n".join(lines(section, judge(section))), flush=True)
                # Written after each section, so that an interrupted run keeps what it measured.
                if arguments.json is not None:
                    document = Document(tuple(sys.argv[1:]), date, machine, tuple(sections))
                    arguments.json.write_text(write_document(document, asdict(environment)))
    print(f"\nmeasured in {(monotonic() - began) / 60:.1f} minutes")


def _networks(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[Bundle, Effort]]:
    asked = (
        _QUICK
        if arguments.quick
        else Effort(
            routes=arguments.routes, compared=arguments.compared, groups=arguments.pairs, frames=arguments.frames
        )
    )
    if arguments.routes != 0:
        yield open_bundle(model_folder(arguments.model)), asked
    if arguments.imagenet_routes:
        bundle = write_imagenet_bundle(folder / "imagenet", _QUICK_SIZE if arguments.quick else 224)
        # Frames take three times as long, and so does every static network that has to be built.
        less = replace(
            asked,
            routes=arguments.imagenet_routes,
            compared=min(asked.compared, 8),
            eager=4,
            compiled=2,
            rounds=4,
            frames_a_round=30,
            frames=-(-asked.frames // 5),
        )
        yield bundle, asked if arguments.quick else less


@contextmanager
def _empty_cache() -> Iterator[None]:
    """A cache of optimised networks for the processes started inside, away from the user's."""
    name, before = "XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ[name] = folder
        try:
            yield
        finally:
            os.environ.pop(name)
            if before is not None:
                os.environ[name] = before


def _tell(what: str) -> None:
    print(f"{datetime.now(timezone.utc):%H:%M:%S} {what}", file=sys.stderr, flush=True)


def _route_count(text: str) -> int | None:
    return None if text == "all" else int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gating", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", default="gusodrop", help="a shipped bundle's name, or the folder of one")
    add("--routes", type=_route_count, help="of the model: all (the default), a number, or 0 to leave it out")
    add("--compared", type=int, default=32, help="how many of them under the plans other than fused too")
    add("--imagenet-routes", type=int, default=32, help="of the network for 224 px; 0 leaves it out")
    add("--threads", type=int, nargs="+", default=[1, 2])
    add("--pairs", type=int, default=50, help="groups of four frames a route")
    add("--frames", type=int, default=1000, help="whole frames; the static networks of their routes are all loaded")
    add("--parts", nargs="+", choices=PARTS, default=PARTS)
    add("--quick", action="store_true", help="tiny numbers, to see that it runs")
    add("--json", type=Path, metavar="FILE", help="write every number there")
    return parser


if __name__ == "__main__":
    main()
