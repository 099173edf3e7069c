"""`--source` of the verbs that need no labels, and where frames come from where it is left out."""

from __future__ import annotations

import argparse
import os

from bench.cli.errors import RequestError
from devices.sources.dataset import LOCATIONS
from edge.bundle import Bundle

_RENDERED = "gtsrb"


def add_source_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        metavar="SPEC",
        help="where frames come from (default: synthetic://gtsrb for networks of traffic signs, for others the test "
        "images of their data set)",
    )


def source_or_own(source: str | None, bundle: Bundle) -> str:
    """The source asked for, or frames of what the network is for: rendered ones, or the test images of its data set.

    Raises:
        RequestError: none was asked for, and there are no images of the network's data set here.
    """
    if source is not None:
        return source
    data_set = bundle.manifest.task.dataset
    if data_set == _RENDERED:
        return f"synthetic://{_RENDERED}"
    test_images = f"{data_set}/test"
    hint = "Name a --source, such as dir://FOLDER."
    if test_images in LOCATIONS:
        if os.environ.get("EDGEBENCH_DATA"):
            return f"dataset://{test_images}"
        hint = "Set EDGEBENCH_DATA to their folder, or name a --source, such as dir://FOLDER."
    raise RequestError(
        "source", f"{bundle.name} is a network for {data_set}, whose images are not part of the project", hint
    )
