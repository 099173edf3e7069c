"""`edgebench reproduce`: the tables of a paper on dynamic networks again, each figure beside the paper's."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.arguments import duration, named_folder, seed, whole
from bench.cli.bundling import blaming_the_request, data_folder, need_torch
from bench.cli.cluster import add_cluster_argument, batches, check_cluster
from bench.cli.computing import add_all_cores_argument, compute_with
from bench.cli.errors import RequestError, Status
from bench.cli.progress import progress
from bench.cli.streams import note, reader_may_leave
from bench.report.document import render_json
from bench.report.lines import print_lines
from bench.report.picture import PictureError, check_picture
from edge.bundle import open_bundle
from edge.models import model_folder, shipped

if TYPE_CHECKING:
    from bench.reproduce.findings import Reproduction
    from bench.reproduce.laboratory import Effort, Images, Network
    from bench.reproduce.study import Study, Subjects

STUDIES = (
    "dynn-transfer",
    "dynn-efficiency",
    "dynn-first-exit",
    "dynn-placement",
    "dynn-early-attack",
    "dynn-early-transfer",
)
_WITH_ALPHAS = "dynn-early-attack"
# Of the ten minutes that a quick run may take, the rest is for what was begun before them.
_QUICK_BUDGET_S = 450.0

EPILOG = """\
The tables of Haque et al., "Dynamic Neural Network is All You Need" (2023).  What
is finished stays in --out: the same command goes on from there.  Networks that
are missing are named at the end, with everything else that was not run.

examples:
  edgebench reproduce dynn-early-attack --quick --out early
  edgebench reproduce dynn-first-exit --model sdn-mobilenet-cifar10 --out first
  edgebench reproduce dynn-transfer --bundles bundles --budget 8h --out transfer
      --pair surrogate-resnet56-of-sdn-vgg16-cifar10 sdn-vgg16-cifar10
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("study", choices=STUDIES, metavar="STUDY", help=", ".join(STUDIES))
    model = "NAME_OR_FOLDER"
    add("--model", action="append", metavar=model, help="a network with exits (again for more; default: the paper's)")
    add(
        "--pair",
        action="append",
        nargs=2,
        metavar=("SURROGATE", "TARGET"),
        help="a network to craft on, and the one that it stands for (again for more)",
    )
    add("--bundles", type=Path, metavar="FOLDER", help="where networks that are not shipped lie, by their names")
    add("--data", type=Path, metavar="FOLDER", help="the data sets (default $EDGEBENCH_DATA)")
    add("--out", type=named_folder, required=True, metavar="FOLDER", help="where results are kept, and found again")
    add("--quick", action="store_true", help="fewer images and steps, ten minutes on two cores")
    add("--budget", type=duration, metavar="TIME", help="begin nothing more after so long, such as 8h")
    add("--images", type=whole, metavar="N", help="images for each attack")
    add("--steps", type=whole, metavar="N", help="steps of each attack, in dynn-early-* of Early Attack")
    add("--alphas", type=_alphas, metavar="A,A,...", help="of dynn-early-attack: what keeping the last answer is worth")
    add("--eps", type=_radius, metavar="R", help="radius of the attacks in a ball (default 3/40)")
    add("--seed", type=seed, default=0, metavar="N", help="seed of all that is random (default 0)")
    add("--batch", type=whole, default=64, metavar="N", help="images crafted together (default %(default)s)")
    add_all_cores_argument(parser)
    add_cluster_argument(parser)
    add("--json", action="store_true", help="print one JSON document")
    add("--picture", type=Path, metavar="FILE", help="draw it: .png, .svg or .pdf (default: in --out, with matplotlib)")


def run(arguments: argparse.Namespace) -> int:
    need_torch()
    check_cluster(arguments)
    check_picture(arguments.picture)
    out: Path = arguments.out
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "work").is_dir())):
        raise RequestError("out", f"{out} holds something else than results", "Choose another folder with --out.")
    data = data_folder(arguments)
    if data is None:
        raise RequestError("data", "the test images are missing", "Name their folder with --data or EDGEBENCH_DATA.")
    reproduction = _reproduced(arguments, data)
    _write(arguments, reproduction)
    with reader_may_leave():
        if arguments.json:
            from bench.reproduce.findings import document

            print(render_json(document(reproduction)))
        else:
            from bench.report.reproduction import render_reproduction

            print_lines(render_reproduction(reproduction), sys.stdout)
    return Status.DONE


def _reproduced(arguments: argparse.Namespace, data: Path) -> Reproduction:
    from bench.reproduce.laboratory import Laboratory, Missing
    from bench.reproduce.study import reproduce

    arguments.threads = compute_with(arguments.threads)
    study, subjects = _study(arguments)
    budget_s = arguments.budget or (_QUICK_BUDGET_S if arguments.quick else None)
    work = arguments.out / "work"
    work.mkdir(parents=True, exist_ok=True)
    with batches(arguments) as made, progress() as show, blaming_the_request():
        laboratory = Laboratory(
            _opener(arguments),
            _images(data),
            work,
            _effort(arguments),
            arguments.seed,
            arguments.batch,
            None if budget_s is None else time.monotonic() + budget_s,
            show,
            made,
        )
        try:
            return reproduce(study, laboratory, subjects)
        except Missing as error:
            raise RequestError("model", str(error)) from error


def _study(arguments: argparse.Namespace) -> tuple[Study, Subjects]:
    from bench.reproduce import early, shifts, transfer
    from bench.reproduce.paper import Pair, pairs
    from bench.reproduce.study import Subjects

    every = (
        transfer.STUDY,
        shifts.EFFICIENCY,
        shifts.FIRST_EXIT,
        shifts.PLACEMENT,
        early.ATTACK,
        early.TRANSFER,
    )
    study = {each.name: each for each in every}[arguments.study]
    chosen = arguments.model is not None or arguments.pair is not None
    given = tuple(Pair(*names) for names in arguments.pair or ())
    models = tuple(arguments.model or (() if chosen else study.models))
    return study, Subjects(models, given if chosen else pairs())


def _effort(arguments: argparse.Namespace) -> Effort:
    from bench.reproduce.laboratory import QUICK, Effort

    effort = QUICK if arguments.quick else Effort()
    if arguments.alphas is not None:
        if arguments.study != _WITH_ALPHAS:
            raise RequestError("alphas", f"{arguments.study} has no alphas", f"Leave them out, or run {_WITH_ALPHAS}.")
        effort = replace(effort, alphas=arguments.alphas)
    if arguments.steps is not None and arguments.study.startswith("dynn-early"):
        effort = replace(effort, early_steps=arguments.steps)
    elif arguments.steps is not None:
        effort = replace(effort, steps=arguments.steps)
    if arguments.images is not None:
        effort = replace(effort, images=arguments.images, early_images=arguments.images)
    return effort if arguments.eps is None else replace(effort, eps=arguments.eps)


def _opener(arguments: argparse.Namespace) -> Callable[[str], Network]:
    from bench.attacks.open_target import open_target
    from bench.reproduce.laboratory import Missing, Network
    from bench.twins.costs import PathCosts

    def open_network(name: str) -> Network:
        own = None if arguments.bundles is None else arguments.bundles / name
        if own is not None and own.is_dir():
            folder = own
        elif name in shipped() or Path(name).is_dir():
            folder = model_folder(name)
        else:
            where = "not shipped" if own is None else f"neither shipped nor in {arguments.bundles}"
            raise Missing(f"{name} is {where}: edgebench train {name}, and name its folder with --bundles")
        bundle = open_bundle(folder)
        costs = PathCosts.of(bundle.network)
        shares = tuple(costs.share("1" * costs.gates, index) for index in range(len(bundle.network.exits)))
        return Network(bundle.name, bundle.manifest.task.dataset, bundle.digest, open_target(bundle), shares)

    return open_network


def _images(data: Path) -> Callable[[str], Images]:
    from bench.reproduce.laboratory import Images, Missing
    from export.training.recipes.photographs import CIFAR10, CIFAR100, TINY_IMAGENET
    from export.training.recipes.surrogate import second_half

    photographs = {each.task: each for each in (CIFAR10, CIFAR100, TINY_IMAGENET)}

    def images_of(task: str) -> Images:
        if task not in photographs:
            raise Missing(f"{task} is none of {', '.join(photographs)}, the data sets of these studies")
        examples = second_half(photographs[task].test(data))
        return Images(examples.images.contiguous().numpy(), examples.labels.numpy())

    return images_of


def _write(arguments: argparse.Namespace, reproduction: Reproduction) -> None:
    from bench.report.reproduction_picture import draw_reproduction
    from bench.reproduce.findings import distributions_table, document, figures_table

    out: Path = arguments.out
    name = reproduction.study
    (out / f"{name}.json").write_text(render_json(document(reproduction)) + "\n", encoding="utf-8")
    (out / f"{name}.csv").write_text(figures_table(reproduction), encoding="utf-8")
    if reproduction.findings.distributions:
        (out / f"{name}-distributions.csv").write_text(distributions_table(reproduction), encoding="utf-8")
    picture = arguments.picture or out / f"{name}.png"
    try:
        check_picture(picture)
    except PictureError as error:
        note(f"note: no picture: {error}")
        return
    draw_reproduction(picture, reproduction)


def _alphas(text: str) -> tuple[float, ...]:
    try:
        alphas = tuple(float(part) for part in text.split(","))
    except ValueError:
        alphas = ()
    if not alphas or not all(0 < each < math.inf for each in alphas):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers above 0, such as 0.1,1,20")
    return tuple(dict.fromkeys(alphas))


def _radius(text: str) -> Fraction:
    try:
        radius = Fraction(text)
    except (ValueError, ZeroDivisionError):
        radius = Fraction(-1)
    if not 0 < radius <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a radius above 0 and up to 1, such as 8/255")
    return radius
