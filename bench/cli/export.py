"""`edgebench export`: a trained network as a bundle; a bundle as one file for other runtimes, or as engines."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cli.bundling import (
    add_bundle_arguments,
    blaming_the_request,
    data_folder,
    delivered,
    prepare,
    show_delivery,
)
from bench.cli.engines import add_engine_arguments, build_engines
from bench.cli.errors import RequestError
from bench.cli.progress import progress
from bench.recipes import find_recipe, is_recipe

EPILOG = """\
examples:
  edgebench export work/gusodrop-gtsrb.pt --data ~/edgebench-data --out gusodrop --verify
  edgebench export gusodrop-gtsrb --work work --out gusodrop
  edgebench export ./my-sdn --single-file my-sdn.onnx --controller confidence:0.9
      --data ~/edgebench-data --verify
  edgebench export gusodrop --format tensorrt --precision int8

A single file is one ONNX graph for other runtimes, with the thresholds in it; its
outputs are scores, exit and confidence.  It needs no torch, and engines need none.
With --verify it is compared with the runtime on 500 test images.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "trained",
        metavar="MODEL",
        help="the file that edgebench train left, or its recipe together with --work; for a single file and engines a "
        "network or bundle",
    )
    parser.add_argument(
        "--format", choices=("bundle", "tensorrt"), default="bundle", help="what to make of it (default bundle)"
    )
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="the work folder of the training")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="the data sets, for int8, the accuracy and --verify of a single file ($EDGEBENCH_DATA)",
    )
    add_bundle_arguments(
        parser, needs_out=False, verified="compare a bundle with torch, path by path; a single file with its bundle"
    )
    parser.add_argument("--single-file", type=Path, metavar="FILE.onnx", help="write a model with exits as one file")
    parser.add_argument("--controller", metavar="SPEC", help="where the single file stops, such as confidence:0.9")
    add_engine_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the bundle of a finished training, the single file of a bundle, or build its engines."""
    if arguments.format == "tensorrt":
        return build_engines(arguments)
    if (arguments.out is None) == (arguments.single_file is None):
        raise RequestError("usage", "where to write is not said", "Name either --out or --single-file.")
    if arguments.single_file is not None:
        from bench.cli.single_file import write_single_file

        return write_single_file(arguments)
    prepare(arguments)
    path = _trained_file(arguments.trained, arguments.work)
    data = data_folder(arguments)
    from export.training.recipe import load_trained

    with progress() as show:
        with blaming_the_request():
            result = load_trained(path, find_recipe)
            test = None if data is None else result.recipe.test(data)
        delivery = delivered(result, data, test, arguments, show)
    return show_delivery(delivery, arguments)


def _trained_file(name: str, work: Path | None) -> Path:
    path = Path(name)
    if is_recipe(name):
        if work is None:
            raise RequestError("usage", f"{name} is a recipe", "Say with --work where it was trained.")
        path = work / f"{name}.pt"
    if not path.is_file():
        hint = "Train it with edgebench train, or name the .pt file that this left in its work folder."
        raise RequestError("training", f"there is no finished training at {path}", hint)
    return path
