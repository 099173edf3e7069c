"""`edgebench latency`: frames through a network."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from bench.cli.arguments import duration, region, seed, whole
from bench.cli.conditions import conditions_between, look
from bench.cli.errors import RequestError, Status
from bench.cli.report import add_output_arguments, draw, show, status_of, summarise
from bench.contenders import BackendOptions, open_contender
from bench.harness import Contender, Limits, Outcome, measure
from bench.records import RunWriter, read_run, with_full_answers
from bench.registry import make
from bench.report.document import document
from bench.report.facts import NetworkFacts, RunFacts, facts_to_json
from bench.report.live import LiveLine
from bench.report.picture import check_picture
from devices.boards.linux import read_environment
from devices.sources.base import Source
from edge.bundle import Bundle, BundleError, Manifest, open_bundle
from edge.controllers.base import Controller
from edge.models import model_folder
from edge.preprocess import Preprocessor

# Of a source without an end; enough for the 99th percentile and its interval.
FRAMES_BY_DEFAULT = 1000

EPILOG = """\
specs are name:key=value,key=value; a source is scheme://location?key=value

examples:
  edgebench latency --model gusodrop
  edgebench latency --model gusodrop --baseline resnet18 --source dir://frames
  edgebench latency --model gusodrop --controller random:0.6 --seed 1 --frames 5000
  edgebench latency --model ./my-bundle --duration 5m --out runs/monday --json

Ctrl-C ends a run early and keeps what it measured.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("--model", required=True, metavar="NAME_OR_FOLDER", help="a shipped network, or the folder of a bundle")
    add("--baseline", metavar="NAME_OR_FOLDER", help="a network to compare with, on the same frames in turn")
    add("--source", default="synthetic://gtsrb", metavar="SPEC", help="where frames come from (default %(default)s)")
    add("--controller", metavar="SPEC", help="what decides gates and exits (default: the one that the bundle names)")
    add("--backend", default="onnxruntime", metavar="SPEC", help="what runs the network (default %(default)s)")
    add("--frames", type=whole, metavar="N", help=f"stop after N frames (endless sources: {FRAMES_BY_DEFAULT})")
    add("--duration", type=duration, metavar="TIME", help="stop after this time: 30s, 5m, 2h")
    add("--roi", type=region, metavar="X,Y,W,H", help=ROI_HELP)
    add("--threads", type=whole, default=1, metavar="N", help=THREADS_HELP)
    add("--seed", type=seed, metavar="N", help="make the gates' draws repeatable (default: unpredictable)")
    add("--out", type=Path, metavar="RUN", help="new folder for the records (default: under ~/.local/state/edgebench)")
    add_output_arguments(parser)


ROI_HELP = "the part of every image to look at; frame: what the source marks (default: the whole image)"
# One thread repeats best, leaves the other cores to camera and decoder, and compares work, not scheduling.
THREADS_HELP = "cores that a network may use (default 1: repeats best, and leaves the others to the camera)"


def run(arguments: argparse.Namespace) -> int:
    check_picture(arguments.picture)
    model = open_bundle(model_folder(arguments.model))
    baseline = None if arguments.baseline is None else open_bundle(model_folder(arguments.baseline))
    if baseline is not None:
        _check_comparable(model, baseline)
    source, source_spec = make("sources", arguments.source)
    with closing(source):
        backend, backend_spec = make("backends", arguments.backend)
        controller, controller_spec = make("controllers", arguments.controller or model.manifest.controllers.default)
        contenders = [_contender(model.name, model, backend, controller, arguments)]
        if baseline is not None:
            # A network against itself shows what the comparison can tell apart; its records need another name.
            name = baseline.name if baseline.name != model.name else f"{baseline.name}-baseline"
            of_baseline, _ = make("controllers", baseline.manifest.controllers.default)
            contenders.append(_contender(name, baseline, backend, of_baseline, arguments))
        started = datetime.now(timezone.utc)
        folder = arguments.out or _default_folder(started, model.name)
        facts = RunFacts(
            run=folder.name,
            folder=str(folder),
            started=started.isoformat(timespec="milliseconds"),
            model=_facts_of(model.name, model),
            baseline=None if baseline is None else _facts_of(contenders[1].name, baseline),
            backend=backend_spec,
            controller=controller_spec,
            source=source_spec,
            threads=arguments.threads,
            seed=arguments.seed,
            backend_details=contenders[0].runtime.backend.describe(),
            environment=asdict(read_environment()),
        )
        return _measure(arguments, facts, tuple(contenders), source, model.manifest)


def _measure(
    arguments: argparse.Namespace,
    facts: RunFacts,
    contenders: tuple[Contender, ...],
    source: Source,
    manifest: Manifest,
) -> int:
    frames = arguments.frames
    if frames is None and arguments.duration is None and source.length is None:
        frames = FRAMES_BY_DEFAULT
    with RunWriter(Path(facts.folder), facts_to_json(facts)) as records:
        before = look()
        with closing(LiveLine(sys.stderr, arguments.duration)) as live, _region_errors(arguments.roi):
            outcome = measure(
                contenders,
                source,
                Preprocessor(*manifest.input_shape[2:]),
                Limits(frames, arguments.duration),
                records,
                live.show,
                arguments.roi,
                labelled=_labelled(source, manifest.task.dataset),
            )
        conditions = conditions_between(before, look())
        records.flush()
        # What is shown is computed from what is on the disk, and so `report` shows the same.
        rows = with_full_answers(read_run(records.folder).records, outcome.full_answers)
        complete = outcome.source_error is None and not outcome.interrupted
        summary = summarise(facts, rows, conditions, complete=complete)
        records.finish(document(facts, summary), conditions, full_answers=outcome.full_answers, complete=complete)
    error = _ending(outcome, facts.folder)
    if error is not None:
        print(f"edgebench: {error}", file=sys.stderr)
    show(facts, summary, as_json=arguments.json, **({} if error is None else {"error": error.to_json()}))
    draw(arguments.picture, rows, summary)
    return status_of(summary, strict=arguments.strict) if error is None else error.status


@contextmanager
def _region_errors(region: object) -> Iterator[None]:
    """Whether a region lies inside the frames shows only when there is one."""
    try:
        yield
    except ValueError as error:
        if region == "frame":
            raise
        raise RequestError("roi", str(error), "Choose another --roi.") from error


def _ending(outcome: Outcome, folder: str) -> RequestError | None:
    """Why a run ended before its end, and with which status."""
    kept = f"The records of {outcome.frames:,} frames are kept in {folder}."
    if outcome.source_error is not None:
        return RequestError("source", outcome.source_error, kept, Status.DEVICE_LOST)
    if outcome.interrupted:
        return RequestError("interrupted", "interrupted", kept, Status.INTERRUPTED)
    return None


def _contender(
    name: str, bundle: Bundle, backend: BackendOptions, controller: Controller, arguments: argparse.Namespace
) -> Contender:
    print(f"preparing {name}", file=sys.stderr)
    try:
        return open_contender(name, bundle, backend, controller, threads=arguments.threads, seed=arguments.seed)
    except BundleError:
        raise
    except ValueError as error:
        raise RequestError("controller", str(error)) from error


def _facts_of(name: str, bundle: Bundle) -> NetworkFacts:
    return NetworkFacts(name, bundle.digest, len(bundle.network.gates))


def _check_comparable(model: Bundle, baseline: Bundle) -> None:
    """Both must take the same frames for the same task."""
    wants = [(bundle.manifest.task.dataset, bundle.manifest.input_shape) for bundle in (model, baseline)]
    if wants[0] != wants[1]:
        (dataset, shape), (other, other_shape) = wants
        raise RequestError(
            "baseline",
            f"{baseline.name} ({other}, input {_size(other_shape)}) cannot be compared with {model.name} "
            f"({dataset}, input {_size(shape)}) on the same frames",
            "Choose a baseline for the same data set and input size.",
        )


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[3]}x{shape[2]}"


def _labelled(source: Source, dataset: str) -> bool:
    if source.task is not None and source.task != dataset:
        print(f"note: the labels are those of {source.task}, not of {dataset}; accuracy is left out", file=sys.stderr)
    return source.task == dataset


def _default_folder(started: datetime, model: str) -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, "edgebench", "runs", f"{started:%Y%m%dT%H%M%S}.{started.microsecond // 1000:03}-{model}")
