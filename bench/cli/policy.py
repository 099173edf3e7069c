"""`edgebench policy`: what the decision network of a model does."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing, suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from bench.cli.arguments import whole
from bench.cli.errors import RequestError, Status
from bench.cli.progress import FramesSeen, progress
from bench.cli.sourcing import add_source_argument, source_or_own
from bench.cli.streams import note, reader_may_leave
from bench.feed import captured
from bench.harness import FRAMES_BY_DEFAULT, label_of
from bench.policy import PolicySummary, mac_shares, summarise_policy
from bench.registry import make
from bench.report.document import render_json
from bench.report.lines import print_lines
from bench.report.picture import check_picture
from bench.report.policy import render_policy
from bench.report.policy_picture import draw_policy
from bench.stopping import Stopping
from devices.sources.base import Source
from edge.bundle import Bundle, open_bundle
from edge.models import model_folder
from edge.preprocess import Preprocessor

EPILOG = """\
examples:
  edgebench policy --model gusodrop
  edgebench policy --model gusodrop --source dataset://gtsrb/test --json
  edgebench policy --model gusodrop --picture policy.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("--model", required=True, metavar="NAME_OR_FOLDER", help="a shipped network, or the folder of a bundle")
    add_source_argument(parser)
    add("--backend", default="onnxruntime", metavar="SPEC", help="what runs the policy (default %(default)s)")
    add("--frames", type=whole, default=FRAMES_BY_DEFAULT, metavar="N", help="at most N frames (default %(default)s)")
    add("--json", action="store_true", help="print one JSON document")
    add("--picture", type=Path, metavar="FILE", help="draw gates and classes: .png, .svg or .pdf (matplotlib)")


def run(arguments: argparse.Namespace) -> int:
    check_picture(arguments.picture)
    bundle = open_bundle(model_folder(arguments.model))
    if bundle.network.policy is None:
        raise RequestError("model", f"{bundle.name} has no decision network", "Choose a model with one: gusodrop.")
    source, source_spec = make("sources", source_or_own(arguments.source, bundle))
    with closing(source), Stopping() as stopping:
        summary = _look(bundle, source, arguments, stopping)
    classes = bundle.manifest.task.classes
    with reader_may_leave():
        if arguments.json:
            document = {"schema": 1, "model": bundle.name, "bundle": {"digest": bundle.digest}, "source": source_spec}
            print(render_json({**document, **asdict(summary)}))
        else:
            print_lines(render_policy(summary, bundle.name, source_spec, classes), sys.stdout)
    if arguments.picture is not None:
        draw_policy(arguments.picture, summary, bundle.name, classes)
    if stopping.requested:
        note(f"edgebench: interrupted. The figures are those of {summary.frames:,} frames.")
        return Status.INTERRUPTED
    return Status.DONE


def _look(bundle: Bundle, source: Source, arguments: argparse.Namespace, stopping: Stopping) -> PolicySummary:
    """Show the source's frames to the policy, until Ctrl-C."""
    backend, _ = make("backends", arguments.backend)
    network = bundle.network
    preprocess = Preprocessor(*bundle.manifest.input_shape[2:])
    task = bundle.manifest.task
    classes = len(task.classes) if source.task == task.dataset else None
    keep: list[NDArray[np.float64]] = []
    names: list[str] = []
    labels: list[int | None] = []
    frames = arguments.frames if source.length is None else min(arguments.frames, source.length)
    with closing(backend.open(bundle, 1)) as opened, progress() as show, suppress(KeyboardInterrupt):
        policy = opened.compile(network.policy_segment())
        began_s = monotonic()
        for frame, *_ in islice(captured(source, stopping), frames):
            labels.append(label_of(frame, classes))
            keep.append(_checked(policy.run(preprocess(frame.image))[1].astype(np.float64), bundle.name, frame.name))
            names.append(frame.name)
            show(FramesSeen(len(keep), frames, monotonic() - began_s))
    if stopping.requested and not keep:
        raise KeyboardInterrupt
    if not keep:
        raise RequestError("source", "the source gave no frame", "Choose a source with frames.")
    return summarise_policy(np.array(keep), names, labels, *mac_shares(network))


def _checked(keep: NDArray[np.float64], model: str, frame: str) -> NDArray[np.float64]:
    """Keep-probabilities as the policy gave them, if they are probabilities."""
    wrong = keep[~((keep >= 0) & (keep <= 1))]
    if len(wrong):
        message = f"the policy of {model} gives {wrong[0]:g} for {frame}, which is no probability"
        raise RequestError("model", message, "Export the bundle again.")
    return keep
