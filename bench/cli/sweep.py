"""`edgebench sweep`: what every threshold makes of a network."""

from __future__ import annotations

import argparse
import math
import sys
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path

from bench.cli.errors import RequestError, Status
from bench.cli.streams import reader_may_leave
from bench.cli.walking import Asked, add_walk_arguments, asked, open_with_exits, walked
from bench.exits.sweep import summarise_sweep
from bench.registry import make
from bench.report.document import render_json
from bench.report.lines import print_lines
from bench.report.picture import check_picture
from bench.report.sweep import render_sweep
from edge.bundle import open_bundle
from edge.models import model_folder

EPILOG = """\
Every frame is run once with every exit asked, and once, in turn, straight to the
end; all thresholds follow from that.

examples:
  edgebench sweep --model ./my-sdn --source dataset://cifar10/test
  edgebench sweep --model ./my-sdn --source recorded://test.npz
      --beside ./my-small-network --picture sweep.png
"""

_GRIDS = {
    "confidence": (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999),
    "margin": (0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.98, 0.998),
}
# Of the entropy of a uniform guess.
_ENTROPY_SHARES = (0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_walk_arguments(parser)
    add = parser.add_argument
    add("--thresholds", metavar="N,N", help="which to show (default: a grid)")
    add("--beside", action="append", default=[], metavar="NAME_OR_FOLDER", help="a static network on the same frames")
    add("--picture", type=Path, metavar="FILE", help="draw accuracy against time: .png, .svg or .pdf (matplotlib)")


def run(arguments: argparse.Namespace) -> int:
    check_picture(arguments.picture)
    bundle = open_with_exits(arguments.model)
    beside = [open_bundle(model_folder(name)) for name in arguments.beside]
    for each in beside:
        if (each.manifest.task, each.manifest.input_shape) != (bundle.manifest.task, bundle.manifest.input_shape):
            raise RequestError(
                "beside",
                f"{each.name} is not for the images and classes of {bundle.name}",
                "Choose a network for the same data set and input size.",
            )
    controller = asked(arguments.controller)
    thresholds = _thresholds(arguments.thresholds, controller, len(bundle.manifest.task.classes))
    with ExitStack() as opened:
        source, source_spec = make("sources", arguments.source)
        opened.enter_context(closing(source))
        walk = walked(arguments, bundle, controller, source, beside)
    thresholded = controller.thresholded
    sweep = summarise_sweep(
        walk,
        controller.name,
        thresholds,
        falls=thresholded.falls,
        most_confident=thresholded.fallback == "most-confident",
    )
    with reader_may_leave():
        if arguments.json:
            head = {"schema": 1, "model": bundle.name, "bundle": {"digest": bundle.digest}, "source": source_spec}
            print(render_json({**head, "threads": arguments.threads, **asdict(sweep)}))
        else:
            print_lines(render_sweep(sweep, bundle.name, source_spec), sys.stdout)
    if arguments.picture is not None:
        from bench.report.sweep_picture import draw_sweep

        draw_sweep(arguments.picture, sweep, bundle.name)
    return Status.DONE


def _thresholds(text: str | None, controller: Asked, classes: int) -> tuple[float, ...]:
    if text is None:
        if controller.thresholded.falls:
            return tuple(float(f"{share * math.log(classes):.3g}") for share in _ENTROPY_SHARES)
        return _GRIDS.get(controller.name, _GRIDS["confidence"])
    try:
        thresholds = tuple(float(part) for part in text.split(","))
    except ValueError:
        thresholds = ()
    if not thresholds or not all(0 <= each <= controller.thresholded.highest for each in thresholds):
        raise RequestError(
            "usage", f"--thresholds {text} are no thresholds of {controller.name}", "Write for example 0.5,0.9,0.99."
        )
    return thresholds
