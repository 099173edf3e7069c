"""The options that show frames while a run goes on: `--show`, `--snapshot`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from bench.cli.arguments import named_folder
from bench.gallery import Gallery, check_folder, check_screen
from bench.harness import Watch


def add_showing_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--show", action="store_true", help="show frames in a window, with answer, path and latency")
    add("--snapshot", type=named_folder, metavar="DIR", help="keep one frame a second so, of the last ten minutes")


def check_showing(arguments: argparse.Namespace) -> None:
    """Refuse before the run what could not be shown during it.

    Raises:
        GalleryError: there is no screen, or the folder cannot take pictures.
    """
    if arguments.show:
        check_screen()
    if arguments.snapshot is not None:
        check_folder(arguments.snapshot)


@contextmanager
def shown(arguments: argparse.Namespace, classes: Sequence[str]) -> Iterator[Watch | None]:
    """What is to be told of every frame; None where nothing is shown."""
    folder: Path | None = arguments.snapshot
    if not arguments.show and folder is None:
        yield None
        return
    with closing(Gallery(window=arguments.show, folder=folder, classes=classes)) as gallery:
        yield gallery
