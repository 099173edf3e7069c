"""`edgebench export`: a trained network as a bundle, or a bundle as engines for a GPU."""

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
from bench.cli.train import find_recipe, is_recipe

EPILOG = """\
examples:
  edgebench export work/gusodrop-gtsrb.pt --data ~/edgebench-data --out gusodrop --verify
  edgebench export gusodrop-gtsrb --work work --out gusodrop
  edgebench export gusodrop --format tensorrt --precision int8
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "trained",
        metavar="MODEL",
        help="the file that edgebench train left, or its recipe together with --work; for tensorrt a network or bundle",
    )
    parser.add_argument(
        "--format", choices=("bundle", "tensorrt"), default="bundle", help="what to make of it (default bundle)"
    )
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="the work folder of the training")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the data sets, for the accuracy ($EDGEBENCH_DATA)")
    add_bundle_arguments(parser, needs_out=False)
    add_engine_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the bundle of a finished training, or build the engines of a bundle."""
    if arguments.format == "tensorrt":
        return build_engines(arguments)
    if arguments.out is None:
        raise RequestError("usage", "a bundle needs a folder to be written to", "Name it with --out.")
    prepare(arguments)
    path = _trained_file(arguments.trained, arguments.work)
    data = data_folder(arguments)
    from export.training.recipe import load_trained

    with progress() as show:
        with blaming_the_request():
            result = load_trained(path, find_recipe)
            test = None if data is None else result.recipe.test(data)
        delivery = delivered(result, test, arguments, show)
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
