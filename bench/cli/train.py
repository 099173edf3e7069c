"""`edgebench train`: from data to a bundle, by a recipe."""

from __future__ import annotations

import argparse
import re
import textwrap
from argparse import ArgumentTypeError
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
from bench.recipes import find_recipe, placed_name

EPILOG = """\
examples:
  edgebench train resnet18-gtsrb --data ~/edgebench-data --work work --out resnet18
  edgebench train gusodrop-gtsrb --data ~/edgebench-data --work work --out gusodrop
  edgebench train sdn-vgg16-cifar10 --exits 1,3,5 --work work-cifar10 --out sdn
  edgebench train surrogate-resnet56-of-sdn-vgg16-cifar10 --work work-cifar10 \\
    --out surrogate

A training that was stopped goes on from the last checkpoint in its work folder
when the same command is given again, and ends with the same weights.

recipes:
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = textwrap.fill(", ".join(registry.names("recipes")), 78, break_on_hyphens=False)
    parser.epilog = EPILOG + textwrap.indent(names, "  ")
    parser.add_argument("recipe", metavar="RECIPE", help="what to train, from the list below")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the data sets (default $EDGEBENCH_DATA)")
    parser.add_argument("--work", type=Path, required=True, metavar="FOLDER", help="where checkpoints are kept")
    parser.add_argument(
        "--exits", type=_exits, metavar="BLOCKS", help="blocks behind which the network may stop, such as 1,3,5"
    )
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of all that is random (default 0)")
    parser.add_argument("--quick", action="store_true", help="a tiny network and a few steps, to try the way through")
    add_bundle_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train or go on training, then write the bundle."""
    prepare(arguments)
    recipe = find_recipe(
        arguments.recipe if arguments.exits is None else placed_name(arguments.recipe, arguments.exits)
    )
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
        delivery = delivered(result, data, test, arguments, show)
    return show_delivery(delivery, arguments)


def _exits(text: str) -> str:
    """`1-3-5`, as in the name of the recipe, from `1,3,5`."""
    if not re.fullmatch(r"[0-9]{1,3}(,[0-9]{1,3})*", text):
        raise ArgumentTypeError(f"{text!r} is no list of blocks, such as 1,3,5")
    return text.replace(",", "-")
