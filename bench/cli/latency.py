"""`edgebench latency`: frames through a network."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path

from bench.cli.arguments import duration, named_folder, region, seed, whole
from bench.cli.attacking import add_attack_argument, crafted_first
from bench.cli.errors import RequestError, Status, explain
from bench.cli.observing import LONG_RUN_S, add_observing_arguments, observed
from bench.cli.pacing import add_pacing_arguments, deadline_ms, open_feed
from bench.cli.report import add_output_arguments, conclude, summarise
from bench.cli.showing import add_showing_arguments, check_showing, shown
from bench.cli.sourcing import add_source_argument, source_or_own
from bench.cli.streams import note
from bench.cli.twins import add_twins_arguments, open_stream
from bench.conditions import conditions_between, look
from bench.contenders import BackendOptions, computes, open_contender
from bench.feed import Feed
from bench.frames import FrameTable
from bench.harness import FRAMES_BY_DEFAULT, Contender, Limits, Outcome, full_answers, measure, times_against_full
from bench.machine_findings import Conditions
from bench.power_settings import add_settings_arguments, settings_held
from bench.records import FullAnswers, FullTimes, RecordsError, RunWriter, read_run, refuse_used, with_full_answers
from bench.registry import make
from bench.report.document import document
from bench.report.facts import NetworkFacts, RunFacts, facts_to_json
from bench.report.live import LiveLine
from bench.report.picture import check_picture
from bench.spec import format_spec, parse_spec
from bench.stopping import WITHOUT_HANG_UP, Stopping, surviving_hang_up
from bench.summary import RunSummary
from bench.twins.ceiling import references
from bench.twins.costs import PathCosts
from devices.boards.base import Board
from devices.boards.detection import detect
from devices.detector import SignDetector
from devices.sources.base import Source
from edge.backends.base import BackendError
from edge.bundle import Bundle, BundleError, Manifest, open_bundle
from edge.controllers.base import Controller
from edge.models import model_folder
from edge.preprocess import Preprocessor

EPILOG = """\
specs are name:key=value,key=value; a source is scheme://location?key=value

examples:
  edgebench latency --model gusodrop
  edgebench latency --model gusodrop --baseline resnet18 --source dir://frames
  edgebench latency --model gusodrop --controller random:0.6 --seed 1 --frames 5000
  edgebench latency --model gusodrop --precision int8
  edgebench latency --model gusodrop --fps 30 --deadline 33ms --duration 2h
  edgebench latency --model gusodrop --source recorded://attacked.npz
  edgebench latency --model gusodrop --attack pgd:eps=8/255,steps=10 --frames 600
  edgebench latency --model ./my-bundle --duration 5m --out runs/monday --json

Ctrl-C ends a run early and keeps what it measured; a lost connection does not end
it, and `edgebench report` shows it at any time.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("--model", required=True, metavar="NAME_OR_FOLDER", help="a shipped network, or the folder of a bundle")
    add("--baseline", metavar="NAME_OR_FOLDER", help="a network to compare with, on the same frames in turn")
    add_source_argument(parser)
    add("--controller", metavar="SPEC", help="what decides gates and exits (default: the one that the bundle names)")
    add("--backend", default="onnxruntime", metavar="SPEC", help="what runs the network (default %(default)s)")
    add("--precision", choices=("fp32", "int8"), help="what the network computes in (short for the backend's option)")
    add("--frames", type=whole, metavar="N", help=f"stop after N frames (endless sources: {FRAMES_BY_DEFAULT})")
    add("--duration", type=duration, metavar="TIME", help="stop after this time: 30s, 5m, 2h")
    add_attack_argument(parser)
    add_twins_arguments(parser)
    add_pacing_arguments(parser)
    add_observing_arguments(parser)
    add_settings_arguments(parser)
    add_showing_arguments(parser)
    add("--roi", type=region, metavar="X,Y,W,H", help=ROI_HELP)
    add("--threads", type=whole, default=1, metavar="N", help=THREADS_HELP)
    add("--seed", type=seed, metavar="N", help="make the gates' draws repeatable (default: unpredictable)")
    add(
        "--out",
        type=named_folder,
        metavar="RUN",
        help="new folder for the records (default: under ~/.local/state/edgebench)",
    )
    add_output_arguments(parser)


ROI_HELP = "the part of every image to look at; frame: what the source marks; detect: search for a sign (default: all)"
# One thread repeats best, leaves the other cores to camera and decoder, and compares work, not scheduling.
THREADS_HELP = "cores that a network may use (default 1: repeats best, and leaves the others to the camera)"


def run(arguments: argparse.Namespace) -> int:
    check_picture(arguments.picture)
    check_showing(arguments)
    if arguments.out is not None:
        # The writer refuses it too, but only once the networks are prepared, which takes long.
        refuse_used(arguments.out)
    started = datetime.now(timezone.utc)
    model = open_bundle(model_folder(arguments.model))
    folder = arguments.out or _default_folder(started, model.name)
    gone_on = f"edgebench: the terminal is gone, the run goes on; its result will be in {folder}: edgebench report"
    with surviving_hang_up(f"{gone_on} {folder}"):
        return _run(arguments, model, folder, started)


def _run(arguments: argparse.Namespace, model: Bundle, folder: Path, started: datetime) -> int:
    baseline = None if arguments.baseline is None else open_bundle(model_folder(arguments.baseline))
    if baseline is not None:
        _check_comparable(model, baseline)
    arguments.source = source_or_own(arguments.source, model)
    arguments = crafted_first(arguments, folder)
    with ExitStack() as opened:
        source, source_spec, attack, mixed = open_stream(arguments, model)
        opened.enter_context(closing(source))
        feed, open_loop = open_feed(arguments, source, source_spec)
        opened.enter_context(settings_held(arguments.power_mode, arguments.lock_clocks, note))
        backend, backend_spec = _backend(arguments)
        controller, controller_spec = make("controllers", arguments.controller or model.manifest.controllers.default)
        contenders = [_contender(opened, model.name, model, backend, controller, arguments)]
        if attack is not None and open_loop is None and not (mixed or arguments.alone):
            contenders += references(contenders[0], controller, arguments.seed)
        of_baseline: NetworkFacts | None = None
        if baseline is not None:
            # A network against itself shows what the comparison can tell apart; its records need another name.
            name = baseline.name if baseline.name != model.name else f"{baseline.name}-baseline"
            its_controller, its_spec = make("controllers", baseline.manifest.controllers.default)
            contenders.append(_contender(opened, name, baseline, backend, its_controller, arguments, stream=1))
            of_baseline = _facts_of(name, baseline, its_spec)
        board = detect()
        facts = RunFacts(
            run=folder.name,
            folder=str(folder),
            started=started.isoformat(timespec="milliseconds"),
            model=_facts_of(model.name, model, controller_spec),
            baseline=of_baseline,
            backend=backend_spec,
            controller=controller_spec,
            source=source_spec,
            threads=arguments.threads,
            seed=arguments.seed,
            backend_details=contenders[0].runtime.backend.describe(),
            environment=asdict(board.environment()),
            open_loop=open_loop,
            deadline_ms=deadline_ms(arguments),
            attack=attack,
            costs=None if attack is None else PathCosts.of(model.network),
        )
        classes = _classes(source, model.manifest) if computes(backend) else None
        return _measure(arguments, facts, board, tuple(contenders), source, feed, model.manifest, classes)


def _measure(
    arguments: argparse.Namespace,
    facts: RunFacts,
    board: Board,
    contenders: tuple[Contender, ...],
    source: Source,
    feed: Feed,
    manifest: Manifest,
    classes: int | None,
) -> int:
    frames = arguments.frames
    detector = SignDetector() if arguments.roi == "detect" else None
    if frames is None and arguments.duration is None and source.length is None:
        frames = FRAMES_BY_DEFAULT
    if arguments.duration is not None and arguments.duration >= LONG_RUN_S:
        note(f"note: the records go to {facts.folder}; edgebench report shows them at any time")
    with RunWriter(Path(facts.folder), facts_to_json(facts)) as records:
        with Stopping(WITHOUT_HANG_UP) as stopping:
            with (
                observed(arguments, board, records.folder, stopping),
                closing(LiveLine(sys.stderr, arguments.duration)) as live,
                shown(arguments, manifest.task.classes) as watch,
            ):
                before = look(board)
                outcome = measure(
                    contenders,
                    feed,
                    Preprocessor(*manifest.input_shape[2:]),
                    Limits(frames, arguments.duration),
                    records,
                    live.show,
                    stopping,
                    detector or arguments.roi,
                    classes=classes,
                    watch=watch,
                )
            # Before the full network is asked: what the machine does then is not the run's.
            conditions = conditions_between(before, look(board))
            answers: FullAnswers = {}
            times: FullTimes = {}
            # Where the disk is full there is no room for the answers either, and a lost device gives none.
            if not isinstance(outcome.error, (RecordsError, BackendError)):
                if outcome.inputs and not stopping.requested:
                    note(f"asking the full network about {len(outcome.inputs):,} frames")
                answers = full_answers(contenders, outcome.inputs, stopping)
                times = times_against_full(contenders, outcome.inputs, stopping)
        outcome, summary, rows = _kept(facts, records, outcome, conditions, answers, times)
    # A source may have something to say of what it left out.
    for remark in [*getattr(source, "remarks", list)(), *(detector.remarks() if detector else ())]:
        note(f"note: {remark}")
    return conclude(arguments, facts, summary, rows, _ending(outcome, summary, rows, facts.folder))


def _kept(
    facts: RunFacts,
    records: RunWriter,
    outcome: Outcome,
    conditions: Conditions,
    answers: FullAnswers,
    times: FullTimes,
) -> tuple[Outcome, RunSummary, FrameTable]:
    """The figures of what is on the disk, so that `report` shows the same; and the end of the records, if they take it.

    A disk that is full costs the rows that did not fit any more, not the figures of those before.
    """
    try:
        records.flush()
    except RecordsError as error:
        outcome = replace(outcome, error=outcome.error or error)
    complete = outcome.error is None and not outcome.interrupted
    # What was counted in the capture includes rows that are lost.
    arrivals = None if isinstance(outcome.error, RecordsError) else outcome.arrivals
    rows = with_full_answers(read_run(records.folder).records, answers)
    summary = summarise(facts, rows, conditions, arrivals, complete=complete, full_times=times)
    if not isinstance(outcome.error, RecordsError):
        try:
            records.finish(
                document(facts, summary),
                conditions,
                full_answers=answers,
                full_times=times,
                arrivals=arrivals,
                complete=complete,
            )
        except RecordsError as error:
            outcome = replace(outcome, error=outcome.error or error)
    return outcome, summary, rows


def _ending(outcome: Outcome, summary: RunSummary, records: FrameTable, folder: str) -> RequestError | None:
    """Why a run ended before its end or is of no use, and with which status."""
    kept = f"The records of {outcome.frames:,} frames are kept in {folder}."
    if isinstance(outcome.error, RecordsError):
        return RequestError("records", str(outcome.error), status=Status.BROKEN_OFF)
    if outcome.error is not None:
        return RequestError(explain(outcome.error).code, str(outcome.error), kept, Status.BROKEN_OFF)
    if outcome.interrupted:
        return RequestError("interrupted", "interrupted", kept, Status.INTERRUPTED)
    if not outcome.frames:
        return RequestError("source", "the source gave no frame", "Choose a source with frames.")
    for network in (summary.model, summary.baseline):
        if network is not None and network.failed == network.frames:
            reasons = (each.error for each in records if each.network == network.network and each.error is not None)
            return RequestError("model", f"{network.network} answered no frame ({next(reasons, 'no reason')})", kept)
    return None


def _backend(arguments: argparse.Namespace) -> tuple[BackendOptions, str]:
    """The backend asked for, in the precision asked for, and its shortest spec."""
    backend, spec = make("backends", arguments.backend)
    if arguments.precision is None:
        return backend, spec
    if not hasattr(backend, "precision"):
        raise RequestError("backend", f"backend {spec} has no precision to choose", "Leave --precision out.")
    backend = replace(backend, precision=arguments.precision)
    return backend, format_spec(parse_spec(spec).name, backend)


def _contender(
    opened: ExitStack,
    name: str,
    bundle: Bundle,
    backend: BackendOptions,
    controller: Controller,
    arguments: argparse.Namespace,
    stream: int = 0,
) -> Contender:
    """A network ready to be measured, which `opened` closes."""
    note(f"preparing {name}")
    try:
        contender = open_contender(
            name, bundle, backend, controller, threads=arguments.threads, seed=arguments.seed, stream=stream
        )
    except BundleError:
        raise
    except ValueError as error:
        raise RequestError("controller", str(error)) from error
    opened.enter_context(closing(contender.runtime))
    for remark in getattr(contender.runtime.backend, "remarks", list)():
        note(f"note: {remark}")
    return contender


def _facts_of(name: str, bundle: Bundle, controller: str) -> NetworkFacts:
    network = bundle.network
    return NetworkFacts(name, bundle.digest, len(network.gates), len(network.exits), controller)


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


def _classes(source: Source, manifest: Manifest) -> int | None:
    """How many classes the source's labels are of, or None if they are not those of the network."""
    dataset = manifest.task.dataset
    if source.task is not None and source.task != dataset:
        note(f"note: the labels are those of {source.task}, not of {dataset}; accuracy is left out")
    return len(manifest.task.classes) if source.task == dataset else None


def _default_folder(started: datetime, model: str) -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, "edgebench", "runs", f"{started:%Y%m%dT%H%M%S}.{started.microsecond // 1000:03}-{model}")
