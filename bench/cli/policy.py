"""`edgebench policy`: what the decision network of a model does."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from dataclasses import asdict
from itertools import islice

import numpy as np

from bench.cli.arguments import whole
from bench.cli.errors import RequestError, Status
from bench.policy import PolicySummary, summarise_policy
from bench.registry import make
from bench.report.document import render_json
from bench.report.lines import print_lines
from bench.report.policy import render_policy
from devices.sources.base import Source
from edge.bundle import Bundle, open_bundle
from edge.models import model_folder
from edge.preprocess import Preprocessor

# 43 tracks of 30: one of every sign that the built-in stream shows.
FRAMES_BY_DEFAULT = 1290

EPILOG = """\
examples:
  edgebench policy --model gusodrop
  edgebench policy --model gusodrop --source dataset://gtsrb/test --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("--model", required=True, metavar="NAME_OR_FOLDER", help="a shipped network, or the folder of a bundle")
    add("--source", default="synthetic://gtsrb", metavar="SPEC", help="where frames come from (default %(default)s)")
    add("--backend", default="onnxruntime", metavar="SPEC", help="what runs the policy (default %(default)s)")
    add("--frames", type=whole, default=FRAMES_BY_DEFAULT, metavar="N", help="at most N frames (default %(default)s)")
    add("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    bundle = open_bundle(model_folder(arguments.model))
    if bundle.network.policy is None:
        raise RequestError("model", f"{bundle.name} has no decision network", "Choose a model with one: gusodrop.")
    source, source_spec = make("sources", arguments.source)
    with closing(source):
        summary = _look(bundle, source, arguments)
    classes = bundle.manifest.task.classes
    if arguments.json:
        document = {"schema": 1, "model": bundle.name, "bundle": {"digest": bundle.digest}, "source": source_spec}
        print(render_json({**document, **asdict(summary)}))
    else:
        print_lines(render_policy(summary, bundle.name, source_spec, classes), sys.stdout)
    return Status.DONE


def _look(bundle: Bundle, source: Source, arguments: argparse.Namespace) -> PolicySummary:
    """Show the source's frames to the policy."""
    backend, _ = make("backends", arguments.backend)
    network = bundle.network
    preprocess = Preprocessor(*bundle.manifest.input_shape[2:])
    labelled = source.task == bundle.manifest.task.dataset
    keep, names, labels = [], [], []
    with closing(backend.open(bundle, 1)) as opened:
        policy = opened.compile(network.policy_segment())
        for frame in islice(source.frames(), arguments.frames):
            keep.append(policy.run(preprocess(frame.image))[1].astype(np.float64))
            names.append(frame.name)
            labels.append(frame.label if labelled else None)
    if not keep:
        raise RequestError("source", f"{arguments.source} gave no frame", "Choose a source with frames.")
    full = network.macs(network.full_route)
    open_routes = [
        network.full_route[:gate] + "0" + network.full_route[gate + 1 :] for gate in range(len(network.gates))
    ]
    shares = [1 - network.macs(route) / full for route in open_routes]
    assert network.policy is not None
    return summarise_policy(np.array(keep), names, labels, shares, network.stages[network.policy].macs / full)
