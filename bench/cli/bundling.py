"""What `train` and `export` have in common on the command line: where the bundle goes, and what is said of it."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.computing import add_all_cores_argument, compute_with
from bench.cli.errors import RequestError, Status
from bench.cli.progress import Step

if TYPE_CHECKING:
    from bench.delivery import Delivery
    from edge.bundle import Accuracy, Measured
    from export.onnx.verify import Leaving, Verification
    from export.training.examples import Examples
    from export.training.recipe import Trained


def add_bundle_arguments(
    parser: argparse.ArgumentParser,
    *,
    needs_out: bool = True,
    verified: str = "compare the bundle with torch, path by path",
) -> None:
    """The options of the bundle."""
    parser.add_argument("--out", type=Path, required=needs_out, metavar="BUNDLE", help="the folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    parser.add_argument("--verify", action="store_true", help=verified)
    add_all_cores_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def data_folder(arguments: argparse.Namespace) -> Path | None:
    """The folder named by --data, else by EDGEBENCH_DATA, else None."""
    if arguments.data is not None:
        return Path(arguments.data)
    folder = os.environ.get("EDGEBENCH_DATA")
    return Path(folder) if folder else None


def prepare(arguments: argparse.Namespace) -> None:
    """Settle on the cores, and refuse now what would fail after hours: no torch, no place for the bundle.

    Raises:
        RequestError: it would.
    """
    need_torch()
    if arguments.out.exists() and not arguments.overwrite:
        raise RequestError("bundle", f"{arguments.out} exists already", "Choose another --out, or add --overwrite.")
    arguments.threads = compute_with(arguments.threads)


def need_torch() -> None:
    """Refuse where torch, or what brings its networks to a board, is missing.

    Raises:
        RequestError: it is.
    """
    need_packages("torch", "onnxscript", "onnxruntime")


def need_packages(*packages: str) -> None:
    """Refuse where one of the packages that `edgebench[export]` brings is missing.

    Raises:
        RequestError: it is.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            hint = 'Install it with pip install "edgebench[export]".'
            raise RequestError("package", f"this verb needs the package {package!r}, which is missing", hint)


@contextmanager
def blaming_the_request() -> Iterator[None]:
    """Inside, files that are missing, closed to us or damaged are the request's fault, not the program's."""
    try:
        yield
    except FileNotFoundError as error:
        raise RequestError("data", str(error), "Name the folder of the data sets with --data.") from error
    except (PermissionError, NotADirectoryError) as error:
        raise RequestError("data", f"{error.filename} cannot be used ({error.strerror})") from error
    except ValueError as error:
        raise RequestError("data", str(error)) from error


def delivered(
    result: Trained,
    data: Path | None,
    test: Examples | None,
    arguments: argparse.Namespace,
    show: Callable[[Step], None],
) -> Delivery:
    """Write, measure and verify the bundle; without `data` it gets no ranges, without `test` images it is not measured.

    Raises:
        RequestError: the data folder holds no training images that can be used.
    """
    from bench.delivery import deliver, images_for_ranges

    with blaming_the_request():
        for_ranges = None if data is None else images_for_ranges(result, data)

    return deliver(
        result,
        arguments.out,
        for_ranges=for_ranges,
        test=test,
        verified=arguments.verify,
        threads=arguments.threads,
        overwrite=arguments.overwrite,
        report=show,
    )


def show_delivery(delivery: Delivery, arguments: argparse.Namespace) -> Status:
    """Print what came of it, once the bar is gone."""
    print(json.dumps(document(delivery), indent=2) if arguments.json else text(delivery))
    return Status.DONE if delivery.verification is None or delivery.verification.faithful else Status.LIMIT_FAILED


def document(delivery: Delivery) -> dict[str, Any]:
    """The delivery as JSON; null is what was not measured."""
    bundle, verification = delivery.bundle, delivery.verification
    measured = bundle.manifest.measured
    return {
        "schema": 1,
        "bundle": {
            "name": bundle.name,
            "folder": str(bundle.folder),
            "digest": bundle.digest,
            "size_bytes": bundle.size_bytes,
        },
        "accuracy": None if measured is None else asdict(measured.accuracy) | {"n": measured.n},
        "int8": None if measured is None or measured.int8 is None else asdict(measured.int8) | {"n": measured.n},
        "verification": None if verification is None else asdict(verification) | {"faithful": verification.faithful},
    }


def text(delivery: Delivery) -> str:
    """The delivery in a few lines."""
    bundle = delivery.bundle
    lines = [f"{bundle.folder}: {bundle.name}, {bundle.size_bytes / 1e6:.1f} MB, digest {bundle.digest[:12]}"]
    lines.append(_accuracy(bundle.manifest.measured))
    if delivery.verification is not None:
        lines += _verification(delivery.verification)
    return "\n".join(lines)


def _accuracy(measured: Measured | None) -> str:
    if measured is None:
        return "accuracy not measured: name the folder of the test images with --data"
    draws = f", {measured.draws} draws of the gates each" if measured.draws > 1 else ""
    int8 = "" if measured.int8 is None else f"; in int8 {_share(measured.int8)}"
    return f"accuracy {_share(measured.accuracy)} on {measured.n} images of {measured.data}{draws}{int8}"


def _share(accuracy: Accuracy) -> str:
    return f"{accuracy.value:.2%} [{accuracy.low:.2%}, {accuracy.high:.2%}]"


def _verification(verification: Verification) -> list[str]:
    width = max(10, *(len(found.what) for found in verification.differences))
    lines = [
        f"largest difference on {verification.images} images, as a share of the largest output:",
        f"  {'path':<{width}} {'from stored':>12} {'from trained':>13} {'same answer':>12}",
    ]
    lines += [
        f"  {found.what:<{width}} {found.stored:>12.1e} {found.trained:>13.1e} {found.agreement:>12.1%}"
        for found in verification.differences
    ]
    verdict = (
        "the bundle computes what it stores" if verification.faithful else "THE BUNDLE DIFFERS FROM WHAT IT STORES"
    )
    return [*lines, *_leaving(verification.leaving), verdict]


def _leaving(leaving: Sequence[Leaving]) -> list[str]:
    """A row an exit, a column a threshold."""
    if not leaving:
        return []
    thresholds = list(dict.fromkeys(found.threshold for found in leaving))
    lines = [
        "of the images that leave there by confidence, the share that leaves the bundle there too:",
        f"  {'threshold':<10}" + "".join(f"{threshold:>9g}" for threshold in thresholds),
    ]
    for exit_index in dict.fromkeys(found.exit for found in leaving):
        shares = [found.agreement for found in leaving if found.exit == exit_index]
        cells = ["-" if share is None else f"{share:.1%}" for share in shares]
        lines.append(f"  {f'exit {exit_index}':<10}" + "".join(f"{cell:>9}" for cell in cells))
    return lines
