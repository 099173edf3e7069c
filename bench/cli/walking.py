"""What `calibrate` and `sweep` have in common: labelled frames through a network with every exit asked."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from inspect import isclass
from itertools import islice
from time import monotonic
from typing import cast

from bench.cli.arguments import seed, whole
from bench.cli.errors import RequestError
from bench.cli.progress import FramesSeen, progress
from bench.contenders import BackendOptions
from bench.exits.walk import AskAll, Labelled, Walk, walk
from bench.feed import captured
from bench.harness import FRAMES_BY_DEFAULT, label_of
from bench.registry import find, make
from bench.spec import build, parse_spec, split_composed
from bench.stopping import Stopping
from devices.sources.base import Source
from edge.bundle import Bundle, open_bundle
from edge.controllers.base import Controller, refuse_single_exit
from edge.controllers.composed import Composed
from edge.controllers.constant import KeepAll
from edge.controllers.threshold import Thresholded
from edge.models import model_folder
from edge.preprocess import Preprocessor
from edge.randomness import GateRandom
from edge.runtime import Runtime

_REPORT_EVERY = 20


def add_walk_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", required=True, metavar="NAME_OR_FOLDER", help="a network with early exits, or its bundle's folder")
    add("--source", required=True, metavar="SPEC", help="where labelled frames come from")
    add(
        "--controller",
        default="confidence",
        metavar="SPEC",
        help="whose thresholds, without one: confidence, entropy, margin, gusodrop+confidence (default %(default)s)",
    )
    add("--backend", default="onnxruntime", metavar="SPEC", help="what runs the network (default %(default)s)")
    add("--frames", type=whole, metavar="N", help=f"stop after N frames (endless sources: {FRAMES_BY_DEFAULT})")
    add("--threads", type=whole, default=1, metavar="N", help="cores that a network may use (default 1)")
    add("--seed", type=seed, metavar="N", help="make the gates' draws repeatable (default: unpredictable)")
    add("--json", action="store_true", help="print one JSON document")


def open_with_exits(name: str) -> Bundle:
    """The bundle of a network with early exits.

    Raises:
        RequestError: it has none.
    """
    bundle = open_bundle(model_folder(name))
    if len(bundle.network.exits) < 2:
        raise RequestError("model", f"{bundle.name} has no early exits", "Choose a model with some.")
    return bundle


@dataclass(frozen=True, slots=True)
class Asked:
    """A controller taken apart: the one with thresholds, its name, and the specs of the others."""

    name: str
    thresholded: Thresholded
    others: tuple[str, ...]

    def spec(self, option: str) -> str:
        """The whole controller with this option, `0.9` or `calibrated=half-time`."""
        fallback = "" if self.thresholded.fallback == "last" else f",fallback={self.thresholded.fallback}"
        return "+".join((*self.others, f"{self.name}:{option}{fallback}"))


def asked(text: str) -> Asked:
    """The controller in `confidence`, `margin:fallback=most-confident`, `gusodrop+confidence`.

    Raises:
        RequestError: not exactly one has thresholds, or they are given.
    """
    found: list[tuple[str, Thresholded]] = []
    others = []
    for part in split_composed(text):
        spec = parse_spec(part)
        kind = find("controllers", spec.name)
        if not (isclass(kind) and issubclass(kind, Thresholded)):
            others.append(part)
            continue
        if spec.first is not None or {key for key, _ in spec.options} - {"fallback"}:
            raise RequestError(
                "controller", f"{part} has thresholds already", f"They are what is looked for: write {spec.name}."
            )
        found.append((spec.name, build(replace(spec, first="0.5"), kind)))
    if len(found) != 1:
        raise RequestError(
            "controller",
            f"{text} has {len(found)} controllers with thresholds, not one",
            "Choose confidence, entropy or margin.",
        )
    return Asked(*found[0], tuple(others))


def walked(
    arguments: argparse.Namespace, bundle: Bundle, controller: Asked, source: Source, beside: Sequence[Bundle] = ()
) -> Walk:
    """Run the source's frames through the network with every exit asked, its static counterpart, and those beside.

    Raises:
        RequestError: the source has no frames or no labels of the network's classes, or nothing fits.
    """
    manifest = bundle.manifest
    if source.task != manifest.task.dataset:
        raise RequestError(
            "source",
            f"{arguments.source} has no labels of {manifest.task.dataset}, the data set of {bundle.name}",
            f"Choose a source that has, such as dataset://{manifest.task.dataset}/train.",
        )
    backend = cast(BackendOptions, make("backends", arguments.backend)[0])
    asking = AskAll(controller.thresholded)
    most = arguments.frames or (FRAMES_BY_DEFAULT if source.length is None else source.length)
    steps = most if source.length is None else min(most, source.length)
    with ExitStack() as opened, Stopping() as stopping, progress() as show:

        def runtime(of: Bundle, own: Controller, stream: int) -> Runtime:
            made = Runtime(
                of.network, backend.open(of, arguments.threads), own, random=GateRandom(arguments.seed, stream)
            )
            opened.enter_context(closing(made))
            return made

        try:
            refuse_single_exit(bundle.network, controller.name)
            asks = runtime(bundle, Composed([*_made(controller.others), asking]), 0)
            counterpart = runtime(bundle, Composed([*_made(controller.others), KeepAll()]), 1)
            others = [(each.name, runtime(each, _default(each), 2)) for each in beside]
        except ValueError as error:
            raise RequestError("controller", str(error)) from error
        began_s = monotonic()

        def tell(done: int) -> None:
            if done % _REPORT_EVERY == 0 or done == steps:
                show(FramesSeen(done, steps, monotonic() - began_s))

        frames = _labelled(bundle, source, stopping)
        try:
            return walk(islice(frames, most), asks, asking, [(f"{bundle.name} to its end", counterpart), *others], tell)
        except ValueError as error:
            raise RequestError("source", str(error), "Choose a source with frames.") from error


def _made(specs: Sequence[str]) -> list[Controller]:
    return [make("controllers", spec)[0] for spec in specs]


def _default(bundle: Bundle) -> Controller:
    return cast(Controller, make("controllers", bundle.manifest.controllers.default)[0])


def _labelled(bundle: Bundle, source: Source, stopping: Stopping) -> Iterator[Labelled]:
    preprocess = Preprocessor(*bundle.manifest.input_shape[2:])
    for frame, *_ in captured(source, stopping):
        label = label_of(frame, len(bundle.manifest.task.classes))
        if label is None:
            raise RequestError("source", f"{frame.name} has no label", "Choose a source where all frames have one.")
        if stopping.requested:
            raise KeyboardInterrupt
        yield Labelled(preprocess(frame.image), label)
