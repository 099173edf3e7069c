"""The option that crafts on a cluster: `--ray`."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.cli.errors import RequestError

if TYPE_CHECKING:
    from bench.crafting import Batches


def add_cluster_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ray", metavar="ADDRESS", help="craft on a Ray cluster, or on all cores with local")


def check_cluster(arguments: argparse.Namespace) -> None:
    """Refuse a cluster where ray is missing.

    Raises:
        RequestError: it is.
    """
    if arguments.ray is not None and importlib.util.find_spec("ray") is None:
        hint = 'Install it with pip install "edgebench[ray]".'
        raise RequestError("package", "--ray needs the package 'ray', which is missing", hint)


@contextmanager
def batches(arguments: argparse.Namespace) -> Iterator[Batches]:
    """Where batches are made: on the cluster that was named, or here."""
    if arguments.ray is None:
        from bench.crafting import one_after_another

        yield one_after_another
        return
    from bench.on_ray import on_ray

    with on_ray(arguments.ray, arguments.threads) as made:
        yield made
