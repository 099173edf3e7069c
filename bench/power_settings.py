"""The options that set the board for a run: `--power-mode`, `--lock-clocks`."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from devices.boards.machine import Machine
from devices.boards.settings import (
    SettingsError,
    default_journal,
    held,
    of_another_run,
    plan_settings,
    read_journal,
    restore,
)


def add_settings_arguments(parser: argparse.ArgumentParser) -> None:
    """The options, both off: nothing is set that was not asked for."""
    parser.add_argument(
        "--power-mode",
        metavar="MODE",
        help="set this nvpmodel mode (name or number) for the run, and the old one after it",
    )
    parser.add_argument(
        "--lock-clocks", action="store_true", help="hold all clocks at their highest (jetson_clocks) for the run"
    )


@contextlib.contextmanager
def settings_held(
    power_mode: str | None,
    lock_clocks: bool,
    note: Callable[[str], None],
    machine: Machine | None = None,
    journal: Path | None = None,
) -> Iterator[None]:
    """The board as asked for while inside; says what it sets, and what an earlier run left behind.

    Raises:
        SettingsError: it cannot be set, or cannot be put back.
    """
    machine, journal = machine or Machine(), journal or default_journal()
    plan = plan_settings(machine, power_mode, lock_clocks)
    if plan is None:
        with contextlib.suppress(SettingsError):
            if (left := read_journal(journal)) is not None:
                note(f"note: {of_another_run(left, machine)}")
        yield
        return
    note(str(plan))
    with held(plan, machine, journal):
        yield


def restore_settings(note: Callable[[str], None], machine: Machine | None = None, journal: Path | None = None) -> None:
    """Put back what a run that died left behind: `edgebench devices --restore`.

    Raises:
        SettingsError: a run still holds the settings, root is needed, or a program failed.
    """
    commands = restore(machine or Machine(), journal or default_journal())
    note(f"put back: {', '.join(commands)}" if commands else "nothing was left to put back")
