"""`edgebench devices`: the board, and what its sensors say."""

from __future__ import annotations

import argparse
import sys

from bench.cli.errors import Status
from bench.cli.streams import note, reader_may_leave
from bench.power_settings import restore_settings
from bench.report.devices import BoardView, board_document, render_board
from bench.report.document import render_json
from bench.report.lines import print_lines
from devices.boards.base import Board
from devices.boards.detection import detect, unusable_families
from devices.boards.power import read_meters

EPILOG = """\
examples:
  edgebench devices
  sudo edgebench devices --json        some sensors answer only root
  sudo edgebench devices --restore     after a run with --power-mode that died

Nothing is changed on the machine, unless --restore finds what such a run left.
"""

# Energy counters move in steps of up to 0.1 s; over five of them a step is little.
_POWER_OVER_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--restore", action="store_true", help="put back the power mode and clocks that a run which died left behind"
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.restore:
        restore_settings(note)
        return Status.DONE
    view = look_at(detect())
    with reader_may_leave():
        if arguments.json:
            print(render_json(board_document(view)))
        else:
            print_lines(render_board(view), sys.stdout)
    return Status.DONE


def look_at(board: Board) -> BoardView:
    """The board now, with all that it tells."""
    meters = board.power_meters()
    try:
        readings = read_meters(meters, _POWER_OVER_S)
    finally:
        for meter in meters:
            meter.close()
    return BoardView(
        family=board.family,
        environment=board.environment(),
        load=board.load(thorough=True),
        readings=readings,
        absences=(*board.absences(), *unusable_families()),
    )
