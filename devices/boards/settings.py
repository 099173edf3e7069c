"""Sets a Jetson's power mode and clocks for a run, and puts both back: at its end, or after a crash."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from devices.boards.jetson import Jetson
from devices.boards.jetson_programs import PowerMode, parse_power_mode
from devices.boards.machine import Machine
from devices.boards.settings_journal import (
    Journal,
    SettingsError,
    clocks_file_of,
    default_journal,
    read_journal,
    remove_journal,
    write_journal,
)

__all__ = [
    "Change",
    "Plan",
    "SettingsError",
    "default_journal",
    "held",
    "of_another_run",
    "plan_settings",
    "read_journal",
    "restore",
]

# Switching cores and the GPU's partitions on takes nvpmodel several seconds.
_PATIENCE_S = 60.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Change:
    """Another power mode, and the number of the one that it replaces."""

    mode: PowerMode
    before: PowerMode


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be set; `change` is None where the power mode stays."""

    change: Change | None
    lock_clocks: bool

    def commands(self) -> list[list[str]]:
        """What is run, in this order."""
        commands = [] if self.change is None else [["nvpmodel", "-m", str(self.change.mode.number)]]
        return commands + [["jetson_clocks"]] * self.lock_clocks

    def __str__(self) -> str:
        what = [] if self.change is None else [f"power mode {self.change.mode} instead of {self.change.before}"]
        what += ["all clocks at their highest"] * self.lock_clocks
        ran = ", ".join(map(shlex.join, self.commands()))
        return f"setting {' and '.join(what)} for this run ({ran}); it is put back at the end"


def plan_settings(machine: Machine, power_mode: str | None, lock_clocks: bool) -> Plan | None:
    """What it takes to have this power mode (its number, or its name with or without "MODE_") and locked clocks.

    None where there is nothing to do.

    Raises:
        SettingsError: the machine is no Jetson, has no such mode, or does not tell the one that is set.
    """
    if power_mode is None and not lock_clocks:
        return None
    for program in ("nvpmodel", "jetson_clocks"):
        if machine.program(program) is None:
            raise SettingsError(
                f"this machine has no {program}, which sets power mode and clocks of a Jetson: leave out --power-mode "
                "and --lock-clocks, and pin the clocks with the machine's own means"
            )
    change = None
    if power_mode is not None:
        board = Jetson(machine)
        wanted, before = _find_mode(power_mode, board.power_modes()), board.power_mode()
        if before is None or before.number is None:
            raise SettingsError(
                "nvpmodel does not tell which power mode is set, so it could not be put back: see `sudo nvpmodel -q`"
            )
        change = Change(wanted, before) if wanted.number != before.number else None
    return Plan(change, lock_clocks) if change is not None or lock_clocks else None


@contextlib.contextmanager
def held(plan: Plan, machine: Machine, journal: Path, *, is_root: bool | None = None) -> Iterator[None]:
    """Inside, the board is set as planned; what stood before is put back whatever happens, signals included.

    Raises:
        SettingsError: it cannot be set (and is as before then), or cannot be put back (and the journal stays then).
    """
    _need_root(is_root)
    if (other := read_journal(journal)) is not None:
        raise SettingsError(of_another_run(other, machine))
    with _signals_deferred():
        _remember(plan, machine, journal)
        try:
            for command in plan.commands():
                _run(machine, command)
            _check_mode(plan, machine)
        except SettingsError:
            restore(machine, journal, is_root=is_root)
            raise
    try:
        yield
    finally:
        restore(machine, journal, is_root=is_root)


def restore(machine: Machine, journal: Path, *, is_root: bool | None = None) -> list[str]:
    """Put back what a run found; gives the commands that were run, none where nothing was left behind.

    Raises:
        SettingsError: the run still goes on, or a command failed; the journal stays, so that it can be tried again.
    """
    facts = read_journal(journal)
    if facts is None:
        return []
    _need_root(is_root)
    if facts.is_running(machine):
        raise SettingsError(of_another_run(facts, machine))
    # A power mode brings clocks of its own, so the clocks come last.
    commands = [] if facts.mode is None else [["nvpmodel", "-m", str(facts.mode)]]
    commands.append(["jetson_clocks", "--restore", str(clocks_file_of(journal))])
    with _signals_deferred():
        failures = [failure for command in commands if (failure := _failure_of(machine, command)) is not None]
        if failures:
            raise SettingsError(
                f"not all of the board's settings could be put back ({'; '.join(failures)}): what stood before is in "
                f"{journal.parent}; try again with `sudo edgebench devices --restore`"
            )
        remove_journal(journal)
    return [shlex.join(command) for command in commands]


def of_another_run(facts: Journal, machine: Machine) -> str:
    """What to tell a user who finds a journal."""
    if facts.is_running(machine):
        return f"another run (process {facts.process}) has set power mode or clocks for itself: wait for its end"
    return (
        "a run that died left the board's power mode or clocks changed: put them back with "
        "`sudo edgebench devices --restore`"
    )


def _find_mode(wanted: str, modes: dict[int, str]) -> PowerMode:
    for number, name in modes.items():
        if wanted == str(number) or wanted.upper() in (name.upper(), name.upper().removeprefix("MODE_")):
            return PowerMode(name, number)
    known = ", ".join(f"{name} ({number})" for number, name in modes.items()) or "none that nvpmodel tells"
    raise SettingsError(f"this board has no power mode {wanted!r}: choose from {known}")


def _remember(plan: Plan, machine: Machine, journal: Path) -> None:
    """What stands now, on the disk: first the clocks, then the journal, without which they count for nothing."""
    clocks_file = clocks_file_of(journal)
    try:
        journal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # jetson_clocks asks before it overwrites.
        clocks_file.unlink(missing_ok=True)
        _run(machine, ["jetson_clocks", "--store", str(clocks_file)])
        clocks_file.chmod(0o600)
        with open(clocks_file, "rb") as file:
            os.fsync(file.fileno())
        before = None if plan.change is None else plan.change.before.number
        write_journal(journal, Journal.of_this_process(before, machine))
    except OSError as error:
        raise SettingsError(
            f"what stands now cannot be kept in {journal.parent} ({error.strerror or error}), so nothing was changed: "
            "make that folder yours, with room in it"
        ) from error


def _run(machine: Machine, command: Sequence[str]) -> str:
    """Run a program of the board and give what it said; it is told "no" whatever it asks."""
    try:
        ran = subprocess.run(
            [machine.program(command[0]) or command[0], *command[1:]],
            input=b"no\n",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE_S,
            env={**os.environ, "LC_ALL": "C"},
            # Ctrl-C is for the run: a power mode that is half set helps nobody.
            start_new_session=True,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SettingsError(f"`{shlex.join(command)}` cannot be run ({error})") from error
    said = ran.stdout.decode("utf-8", "replace").strip()
    # It asks whether to reboot, ends with an error at "no", and leaves the mode as it was (seen on Orin and Thor).
    if command[0] == "nvpmodel" and "reboot" in said.lower():
        raise SettingsError(
            f"`{shlex.join(command)}` takes a reboot, which edgebench leaves to you: run it with sudo, answer YES, and "
            "measure then without --power-mode"
        )
    if ran.returncode != 0:
        last = said.rpartition("\n")[2][:300]
        raise SettingsError(f"`{shlex.join(command)}` failed ({last or f'status {ran.returncode}'})")
    return said


def _failure_of(machine: Machine, command: Sequence[str]) -> str | None:
    try:
        _run(machine, command)
    except SettingsError as failure:
        return str(failure)
    return None


def _check_mode(plan: Plan, machine: Machine) -> None:
    """nvpmodel may keep the old mode without an error."""
    if plan.change is not None:
        mode = parse_power_mode(_run(machine, ["nvpmodel", "-q"]))
        if mode is None or mode.number != plan.change.mode.number:
            number = plan.change.mode.number
            raise SettingsError(
                f"nvpmodel did not set the power mode {plan.change.mode}: try `sudo nvpmodel -m {number}`"
            )


def _need_root(is_root: bool | None) -> None:
    if not (os.geteuid() == 0 if is_root is None else is_root):
        raise SettingsError(f"power mode and clocks can be set by root alone: sudo {shlex.join(sys.argv)}")


@contextlib.contextmanager
def _signals_deferred() -> Iterator[None]:
    """Signals that end a run wait until the board is whole again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def defer(number: int, frame: FrameType | None) -> None:
        arrived.append(number)

    before = [(name, signal.signal(name, defer)) for name in _SIGNALS]
    try:
        yield
    finally:
        for name, handler in before:
            signal.signal(name, handler if handler is not None else signal.SIG_DFL)
        for each in arrived:
            os.kill(os.getpid(), each)
