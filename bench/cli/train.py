"""`edgebench train`: from data to a bundle, by a recipe."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench import registry
from bench.cli.arguments import seed
from bench.cli.bundling import (
    add_bundle_arguments,
    blaming_the_request,
    data_folder,
    delivered,
    prepare,
    show_delivery,
)
from bench.cli.errors import RequestError
from bench.cli.progress import progress

EPILOG = """\
examples:
  edgebench train resnet18-gtsrb --data ~/edgebench-data --work work --out resnet18
  edgebench train gusodrop-gtsrb --data ~/edgebench-data --work work --out gusodrop

A training that was stopped goes on from the last checkpoint in its work folder
when the same command is given again, and ends with the same weights.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("recipe", metavar="RECIPE", help=f"one of {', '.join(registry.names('recipes'))}")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the data sets (default $EDGEBENCH_DATA)")
    parser.add_argument("--work", type=Path, required=True, metavar="FOLDER", help="where checkpoints are kept")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of all that is random (default 0)")
    parser.add_argument("--quick", action="store_true", help="a tiny network and a few steps, to try the way through")
    add_bundle_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train or go on training, then write the bundle."""
    prepare(arguments)
    recipe = registry.find("recipes", arguments.recipe)
    data = data_folder(arguments)
    if data is None:
        raise RequestError(
            "data", f"recipe {recipe.name} needs {recipe.needs}", "Name their folder with --data or EDGEBENCH_DATA."
        )
    from export.training.recipe import Workshop, trained

    with progress() as show:
        with blaming_the_request():
            # Before the training: hours later is no time to find that the test images are not there.
            test = recipe.test(data)
            result = trained(recipe, Workshop(data, arguments.work, arguments.seed, arguments.quick), show)
        delivery = delivered(result, test, arguments, show)
    return show_delivery(delivery, arguments)
