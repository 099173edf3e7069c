"""`edgebench calibrate`: thresholds for a target, written into the bundle."""

from __future__ import annotations

import argparse
import shutil
import sys
from contextlib import closing
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.cli.arguments import named_folder
from bench.cli.errors import RequestError, Status
from bench.cli.streams import note, reader_may_leave
from bench.cli.walking import Asked, add_walk_arguments, asked, open_with_exits, walked
from bench.exits.calibration import Calibrated, calibrate, in_macs
from bench.exits.target import TargetError, parse_target
from bench.exits.walk import Walk
from bench.registry import make
from bench.report.document import render_json
from bench.report.exits import CalibrationPage, render_calibration
from bench.report.lines import print_lines
from bench.spec import parse_spec
from edge.bundle import Bundle, state_calibration
from edge.models import shipped
from edge.network import Calibration

EPILOG = """\
The thresholds come from frames that are neither those of the training nor those
of the test; the test set is refused.  They are written into the bundle, whose
digest changes.

examples:
  edgebench calibrate --model ./my-sdn --source recorded://calibration.npz
      --target latency:0.5 --name half-time
  edgebench calibrate --model ./my-sdn --source recorded://calibration.npz
      --target loss:0.01 --per-exit
  edgebench calibrate --model ./my-sdn --source dataset://cifar10/calibration
      --target latency:2ms
  edgebench latency --model ./my-sdn --controller confidence:calibrated=half-time
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_walk_arguments(parser)
    add = parser.add_argument
    add("--target", required=True, metavar="KIND:NUMBER", help="accuracy:0.91, loss:0.01, latency:0.5 or latency:2ms")
    add("--per-exit", action="store_true", help="a threshold for each exit (default: one for all)")
    add("--costs", choices=("measured", "macs"), default="measured", help="what an exit costs (default %(default)s)")
    add("--name", help="what to call the thresholds (default: controller and target)")
    add("--out", type=named_folder, metavar="BUNDLE", help="write a copy with the thresholds, and leave the model")


def run(arguments: argparse.Namespace) -> int:
    try:
        target = parse_target(arguments.target)
        if target.in_ms and arguments.costs == "macs":
            raise TargetError(f"{target} is a time, and --costs macs counts work: give a share, such as latency:0.5")
        bundle = open_with_exits(arguments.model)
        controller = asked(arguments.controller)
        folder = _folder(arguments, bundle)
        source, source_spec = make("sources", arguments.source)
        with closing(source):
            _refuse_test(source_spec, bundle)
            if _seen_in_training(source_spec, bundle):
                note(
                    f"note: {bundle.name} was trained on the frames of {source_spec} and is surer of them than of "
                    "others, so that the thresholds come out too trusting; calibrate on frames that were set aside"
                )
            walk = walked(arguments, bundle, controller, source)
        table = walk.table if arguments.costs == "measured" else in_macs(walk.table, bundle.network)
        thresholded = controller.thresholded
        found = calibrate(
            table,
            target,
            falls=thresholded.falls,
            per_exit=arguments.per_exit,
            most_confident=thresholded.fallback == "most-confident",
        )
    except TargetError as error:
        raise RequestError("target", str(error)) from error
    name = arguments.name or f"{controller.name}-{target}".replace(":", "-")
    calibration = Calibration(
        controller.name, found.thresholds, _provenance(arguments, bundle, controller, source_spec, walk, found)
    )
    if folder != bundle.folder:
        shutil.copytree(bundle.folder, folder)
    written = state_calibration(folder, name, calibration)
    if walk.failed:
        note(f"note: {walk.failed:,} frames gave no answer and were left out")
    spec = controller.spec(f"calibrated={name}")
    with reader_may_leave():
        if arguments.json:
            print(render_json(_document(written, name, spec, calibration)))
        else:
            full_ms = walk.table.full_ms if arguments.costs == "measured" else None
            page = CalibrationPage(name, str(target), source_spec, walk.table.frames, full_ms, spec)
            print_lines(render_calibration(found, page, written, bundle.digest), sys.stdout)
    return Status.DONE


def _folder(arguments: argparse.Namespace, bundle: Bundle) -> Path:
    """Where the thresholds go."""
    if arguments.out is not None:
        if arguments.out.exists():
            raise RequestError("bundle", f"{arguments.out} exists already", "Choose another --out.")
        return Path(arguments.out)
    if arguments.model in shipped():
        raise RequestError(
            "bundle",
            f"{bundle.name} is part of this installation and is not changed",
            "Name with --out a folder for a copy with the thresholds.",
        )
    return bundle.folder


def _refuse_test(source: str, bundle: Bundle) -> None:
    """A network's accuracy is stated on its test images: whoever chooses thresholds there states nothing."""
    spec = parse_spec(source)
    location = f"{spec.name}://{spec.first}"
    measured = bundle.manifest.measured
    is_test = spec.name == "dataset" and str(spec.first).rpartition("/")[2] == "test"
    if is_test or (measured is not None and location == measured.data):
        raise RequestError(
            "source",
            f"{location} is what accuracies are measured on, and thresholds chosen there would flatter them",
            "Calibrate on frames that were set aside from the training images.",
        )


def _seen_in_training(source: str, bundle: Bundle) -> bool:
    """Whether the source's frames are among those that the manifest says the network was trained on."""
    spec = parse_spec(source)
    # Tracks are the training images in another order.
    images = str(spec.first).replace("/tracks", "/train")
    return spec.name == "dataset" and images in bundle.manifest.provenance.data


def _provenance(
    arguments: argparse.Namespace, bundle: Bundle, controller: Asked, source: str, walk: Walk, found: Calibrated
) -> dict[str, Any]:
    return {
        "target": arguments.target,
        "fallback": controller.thresholded.fallback,
        "source": source,
        "frames": walk.table.frames,
        "chosen_on": asdict(found.chosen_on),
        "held_out": None if found.held_out is None else asdict(found.held_out),
        "exits": list(found.exits),
        "costs": arguments.costs,
        "leaving_ms": walk.table.cost_ms.tolist(),
        "full_ms": walk.table.full_ms,
        "backend": arguments.backend,
        "threads": arguments.threads,
        "seed": arguments.seed,
        "of": bundle.digest,
        "edgebench": version("edgebench"),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def _document(bundle: Bundle, name: str, spec: str, calibration: Calibration) -> dict[str, Any]:
    return {
        "schema": 1,
        "model": bundle.name,
        "bundle": {"digest": bundle.digest, "folder": str(bundle.folder)},
        "name": name,
        "use": spec,
        "controller": calibration.controller,
        "thresholds": list(calibration.thresholds),
        **calibration.more,
    }
