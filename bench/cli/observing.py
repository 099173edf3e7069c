"""What is sampled beside a run: power where the board measures it, and heat where the run is long enough to settle."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from bench.cli.arguments import pause
from bench.cli.streams import note
from bench.energy import EnergyObserver
from bench.stopping import Stopping
from devices.boards.base import Board

# From here on a run is worth its heat, and nobody may sit at the terminal until its end.
LONG_RUN_S = 60.0
_IDLE_S = 5.0


class Observer(Protocol):
    """Samples into a run's folder from `start` to `stop`; whatever befalls it ends no run."""

    def start(self, folder: Path) -> None: ...

    def idle(self, seconds: float) -> None:
        """Let so many seconds pass, and mark them as those of the idle board."""

    def stop(self) -> None: ...


def add_observing_arguments(parser: argparse.ArgumentParser) -> None:
    what = "measure the idle board first (default 5s where it has power sensors; 0: not at all)"
    parser.add_argument("--idle", type=pause, metavar="TIME", help=what)


@contextmanager
def observed(arguments: argparse.Namespace, board: Board, folder: Path, stopping: Stopping) -> Iterator[None]:
    """Inside, the board is sampled into the folder; its idle state has been measured before."""
    observer, idle_s = _observer(arguments, board)
    if observer is None:
        yield
        return
    observer.start(folder)
    try:
        if idle_s:
            note(f"measuring the idle board for {idle_s:g} s")
            with stopping.waiting():
                observer.idle(idle_s)
        yield
    finally:
        observer.stop()


def _observer(arguments: argparse.Namespace, board: Board) -> tuple[Observer | None, float]:
    meters = board.power_meters()
    for meter in meters:
        meter.close()
    idle_s = arguments.idle if arguments.idle is not None else _IDLE_S if meters else 0.0
    is_long = arguments.duration is not None and arguments.duration >= LONG_RUN_S
    if not (meters or is_long):
        return None, 0.0
    return EnergyObserver(board.power_meters, cores_for_frames=arguments.threads), idle_s
