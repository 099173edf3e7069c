"""`edgebench report`: a run again, from its records."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from bench.cli.arguments import named_folder
from bench.cli.errors import RequestError, Status, explain
from bench.cli.streams import note, reader_may_leave
from bench.energy import read_power
from bench.frames import FrameTable
from bench.machine_findings import Conditions
from bench.records import Arrivals, FullTimes, read_run
from bench.report.document import document, render_json
from bench.report.facts import FactsError, RunFacts, facts_from_json
from bench.report.lines import print_lines
from bench.report.picture import PictureError, check_picture, draw_frames
from bench.report.text import render
from bench.summarise import summarise_run
from bench.summary import RunSummary

EPILOG = """\
A run that was interrupted, killed or ran out of disk is shown as far as it came,
and called incomplete.

examples:
  edgebench report ~/.local/state/edgebench/runs/20260731T101500.123-gusodrop
  edgebench report runs/monday --json > monday.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "run", type=named_folder, metavar="RUN", help="the folder that `edgebench latency` named as records"
    )
    add_output_arguments(parser)


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--strict", action="store_true", help="end with status 1 if the figures are not to be trusted")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="draw the latency of every frame: .png, .svg or .pdf (matplotlib)"
    )


def run(arguments: argparse.Namespace) -> int:
    check_picture(arguments.picture)
    recorded = read_run(arguments.run)
    try:
        facts = replace(facts_from_json(recorded.document), folder=str(arguments.run))
    except FactsError as error:
        raise RequestError("records", f"{arguments.run}: {error}", "Name the folder of a run.") from error
    summary = summarise(
        facts,
        recorded.records,
        recorded.conditions,
        recorded.arrivals,
        complete=recorded.complete,
        full_times=recorded.full_times,
    )
    return conclude(arguments, facts, summary, recorded.records)


def summarise(
    facts: RunFacts,
    records: FrameTable,
    conditions: Conditions,
    arrivals: Arrivals | None,
    *,
    complete: bool,
    full_times: FullTimes,
) -> RunSummary:
    """The figures of a run, whether it has just ended or is read back."""
    networks = [facts.model] if facts.baseline is None else [facts.model, facts.baseline]
    return summarise_run(
        records,
        facts.model.name,
        None if facts.baseline is None else facts.baseline.name,
        {network.name: network.gates for network in networks},
        conditions,
        exits={network.name: network.exits for network in networks},
        seeded=facts.seed is not None,
        complete=complete,
        arrivals=arrivals,
        deadline_ms=facts.deadline_ms,
        queue=None if facts.open_loop is None else facts.open_loop.queue,
        power=read_power(Path(facts.folder)),
        full_times=full_times,
        costs=facts.costs,
    )


def conclude(
    arguments: argparse.Namespace,
    facts: RunFacts,
    summary: RunSummary,
    records: FrameTable,
    error: RequestError | None = None,
) -> Status:
    """Draw and print a run.  What went wrong is told beside its figures, not instead of them."""
    errors = [each for each in (error, _draw(arguments.picture, records, summary)) if each is not None]
    for each in errors:
        note(f"edgebench: {each}")
    with reader_may_leave():
        if arguments.json:
            more = {"error": errors[0].to_json()} if errors else {}
            print(render_json({**document(facts, summary), **more}))
        else:
            print_lines(render(summary, facts), sys.stdout)
    if errors:
        return errors[0].status
    return Status.LIMIT_FAILED if arguments.strict and not summary.verdict.trusted else Status.DONE


def _draw(picture: Path | None, records: FrameTable, summary: RunSummary) -> RequestError | None:
    """Draw the picture that was asked for, if there is a frame to draw; gives what went wrong."""
    if picture is not None and summary.model.frames > summary.model.failed:
        try:
            draw_frames(picture, records, summary)
        except PictureError as error:
            return explain(error)
    return None
