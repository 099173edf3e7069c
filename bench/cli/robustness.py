"""`edgebench robustness`: accuracy under attack, and whether that figure can be believed."""

from __future__ import annotations

import argparse
import math
import sys
import time
from argparse import ArgumentTypeError
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.cli.arguments import duration, named_folder, seed, whole
from bench.cli.bundling import need_packages
from bench.cli.cluster import add_cluster_argument, batches, check_cluster
from bench.cli.computing import add_one_core_argument, compute_with
from bench.cli.errors import RequestError, Status
from bench.cli.progress import progress
from bench.cli.streams import note, reader_may_leave
from bench.feed import captured
from bench.harness import label_of
from bench.registry import make
from bench.report.document import render_json
from bench.report.lines import print_lines
from bench.report.picture import check_picture
from bench.stopping import Stopping
from devices.sources.base import Source
from edge.bundle import Bundle, open_bundle
from edge.models import model_folder
from edge.preprocess import Preprocessor

if TYPE_CHECKING:
    from bench.robustness.evaluation import Evaluation

_FEWEST_DRAWS = 20
_JUDGED_BY_DEFAULT = 8

EPILOG = """\
Radii are in 1/255.  What is finished stays in --out: the same command goes on
from there, and another one with more radii, methods or models uses it too.

examples:
  edgebench robustness --model gusodrop --model resnet18 --out robustness
      --source dataset://gtsrb/test --method pgd:steps=10,eot=20
  edgebench robustness --model sdn --controller confidence:0.9 --out exits
      --source dataset://cifar10/test --method apgd:steps=50
  edgebench robustness --model gusodrop --undefended resnet18 --budget 8h
      --source dataset://gtsrb/test --method apgd:eot=20 --method square
      --images 1000 --out robustness --picture robustness.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    model = "NAME_OR_FOLDER"
    add("--model", action="append", required=True, metavar=model, help="a network to attack; may be given again")
    add("--method", action="append", metavar="SPEC", help="an attack without eps (pgd:steps=10,eot=20); again for more")
    add("--corruption", action="append", metavar="SPEC", help="show gaussian or brightness at five severities; again")
    add("--controller", metavar="SPEC", help="who decides gates and exits of every --model (default: its bundle's)")
    add("--eps", type=_levels, default="0,1,2,4,8,16", metavar="N,N", help="radii in 1/255 (default %(default)s)")
    add("--source", required=True, metavar="SPEC", help="where labelled frames come from")
    add("--images", type=whole, default=200, metavar="N", help="how many of them (default %(default)s)")
    add("--draws", type=whole, default=20, metavar="N", help="fresh draws an image, 20 or more (default %(default)s)")
    add("--out", type=named_folder, required=True, metavar="FOLDER", help="where results are kept, and found again")
    add("--budget", type=duration, metavar="TIME", help="stop after so long, such as 8h; what is finished is kept")
    add("--checks", choices=("full", "quick", "none"), default="full", help="the check list (default %(default)s)")
    add("--check-images", type=whole, default=40, metavar="N", help="how many images it takes (default %(default)s)")
    add("--check-eps", type=_level, metavar="N", help="the radius it judges (default 8, else the largest)")
    add("--undefended", metavar=model, help="a network without the defence, for the check list")
    add("--trained", metavar=model, help="an adversarially trained network, for the check list")
    add("--seed", type=seed, default=0, metavar="N", help="seed of the attacks, never of the defence (default 0)")
    add("--batch", type=whole, default=16, metavar="N", help="images crafted together (default %(default)s)")
    add_one_core_argument(parser)
    add_cluster_argument(parser)
    add("--json", action="store_true", help="print one JSON document")
    add("--picture", type=Path, metavar="FILE", help="draw accuracy over eps: .png, .svg or .pdf (matplotlib)")


def run(arguments: argparse.Namespace) -> int:
    check_picture(arguments.picture)
    bundles = [open_bundle(model_folder(name)) for name in arguments.model]
    beside = [
        None if name is None else open_bundle(model_folder(name)) for name in (arguments.undefended, arguments.trained)
    ]
    _check(arguments, bundles, [each for each in beside if each is not None])
    source, source_spec = make("sources", arguments.source)
    with closing(source):
        frames, labels = _images(source, bundles[0], arguments)
    evaluation = _evaluated(arguments, bundles, beside, source_spec, frames, labels)
    _write(arguments, evaluation)
    with reader_may_leave():
        if arguments.json:
            from bench.robustness.evaluation import document

            print(render_json(document(evaluation)))
        else:
            from bench.report.robustness import render_robustness

            print_lines(render_robustness(evaluation), sys.stdout)
    if not evaluation.complete:
        note("edgebench: the budget is spent. The same command goes on from here.")
    return Status.DONE


def _check(arguments: argparse.Namespace, bundles: list[Bundle], beside: list[Bundle]) -> None:
    """Refuse now what would fail after hours."""
    need_packages("torch")
    check_cluster(arguments)
    if arguments.draws < _FEWEST_DRAWS:
        raise RequestError(
            "usage", f"{arguments.draws} draws do not tell luck from robustness", f"Take {_FEWEST_DRAWS} or more."
        )
    for each in [*bundles[1:], *beside]:
        if (each.manifest.task, each.manifest.input_shape) != (
            bundles[0].manifest.task,
            bundles[0].manifest.input_shape,
        ):
            raise RequestError(
                "model",
                f"{each.name} is not for the images and classes of {bundles[0].name}",
                "Choose networks for the same data set and input size.",
            )
    if len({each.name for each in bundles}) < len(bundles):
        raise RequestError("model", "two models have the same name", "Give each once; rename a bundle's copy.")
    out = arguments.out
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "robustness.json").exists())):
        raise RequestError("out", f"{out} holds something else than results", "Choose another folder with --out.")
    from bench.robustness.natural import at_severities
    from bench.robustness.radius import at_radius

    for corruption in arguments.corruption or ():
        list(at_severities(corruption))
    for method in _methods(arguments):
        for level in arguments.eps:
            at_radius(method, level / 255)


def _methods(arguments: argparse.Namespace) -> list[str]:
    return list(dict.fromkeys(arguments.method or ["pgd:steps=10,eot=20"]))


def _images(
    source: Source, bundle: Bundle, arguments: argparse.Namespace
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """8-bit frames (n, 3, h, w) of the network's input size, and their labels (n,)."""
    task = bundle.manifest.task
    if source.task != task.dataset:
        raise RequestError(
            "source",
            f"{arguments.source} has no labels of {task.dataset}, the data set of {bundle.name}",
            f"Choose a source that has, such as dataset://{task.dataset}/test.",
        )
    preprocess = Preprocessor(*bundle.manifest.input_shape[2:])
    frames, labels = [], []
    with Stopping() as stopping:
        for frame, *_ in islice(captured(source, stopping), arguments.images):
            label = label_of(frame, len(task.classes))
            if label is None:
                raise RequestError("source", f"{frame.name} has no label", "Choose a source where all frames have one.")
            if stopping.requested:
                raise KeyboardInterrupt
            frames.append(np.rint(preprocess(frame.image)[0] * 255).astype(np.uint8))
            labels.append(label)
    if not frames:
        raise RequestError("source", f"{arguments.source} gave no frame", "Choose a source with frames.")
    return np.stack(frames), np.array(labels, np.int64)


def _evaluated(
    arguments: argparse.Namespace,
    bundles: list[Bundle],
    beside: list[Bundle | None],
    source: str,
    frames: NDArray[np.uint8],
    labels: NDArray[np.int64],
) -> Evaluation:
    from bench.robustness.defence import open_defence
    from bench.robustness.evaluate import Request, evaluate
    from bench.robustness.grid import Plan
    from bench.robustness.kept import Kept
    from bench.robustness.laboratory import FULL, QUICK

    compute_with(arguments.threads)
    levels = sorted(set(arguments.eps))
    plan = Plan(
        frames,
        labels,
        _methods(arguments),
        levels,
        arguments.seed,
        arguments.batch,
        arguments.draws,
        list(dict.fromkeys(arguments.corruption or ())),
    )
    defences = [open_defence(each, arguments.controller) for each in bundles]
    undefended, trained = (None if each is None else open_defence(each) for each in beside)
    arguments.out.mkdir(parents=True, exist_ok=True)
    # The mark of the folder, for a run that is killed before its first figure.
    (arguments.out / "robustness.json").touch()
    with batches(arguments) as made, progress() as show:
        deadline_s = None if arguments.budget is None else time.monotonic() + arguments.budget
        kept = Kept(arguments.out / "images", show, deadline_s, batches=made)
        request = Request(
            source,
            plan,
            defences,
            effort={"full": FULL, "quick": QUICK, "none": None}[arguments.checks],
            check_images=arguments.check_images,
            check_levels=arguments.check_eps or _judged(levels),
            undefended=undefended,
            trained=trained,
        )
        try:
            return evaluate(request, kept)
        except ValueError as error:
            raise RequestError("attack", str(error)) from error


def _judged(levels: list[Fraction]) -> Fraction:
    default = Fraction(_JUDGED_BY_DEFAULT)
    return default if default in levels or not any(levels) else max(levels)


def _write(arguments: argparse.Namespace, evaluation: Evaluation) -> None:
    from bench.robustness.evaluation import document, table

    (arguments.out / "robustness.json").write_text(render_json(document(evaluation)) + "\n", encoding="utf-8")
    (arguments.out / "robustness.csv").write_text(table(evaluation.cells), encoding="utf-8")
    if arguments.picture is not None:
        from bench.report.robustness_picture import draw_robustness

        draw_robustness(arguments.picture, evaluation)


def _level(text: str) -> Fraction:
    try:
        level = Fraction(text)
    except (ValueError, ZeroDivisionError):
        level = Fraction(-1)
    if not 0 <= level <= 255 or not math.isfinite(level):
        raise ArgumentTypeError(f"{text!r} is not a radius in 1/255 from 0 to 255, such as 8")
    return level


def _levels(text: str) -> list[Fraction]:
    return [_level(part) for part in text.split(",")]
