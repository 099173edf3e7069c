"""What stood on a board before a run changed it: on the disk before the change, gone when all is back.

A journal that is found belongs to a run that still goes on, or to one that died.  It holds facts, not commands: what is
run to restore them is decided where it is run.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from devices.boards.machine import Machine

SCHEMA = 1
_MOST_BYTES = 1 << 16


class SettingsError(RuntimeError):
    """The board's settings cannot be changed or put back: one sentence, with what to do."""


@dataclass(frozen=True, slots=True)
class Journal:
    """What stood before, and which process changed it; `mode` is the power mode's number, None where it stayed."""

    mode: int | None
    process: int
    process_start: str | None
    boot: str | None

    @classmethod
    def of_this_process(cls, mode: int | None, machine: Machine) -> Journal:
        return cls(mode, os.getpid(), _start_of(os.getpid(), machine), _boot(machine))

    def is_running(self, machine: Machine) -> bool:
        """Whether the run that changed the settings still goes on, in another process than this."""
        if self.process == os.getpid() or self.boot != _boot(machine):
            return False
        return self.process_start is not None and self.process_start == _start_of(self.process, machine)


def default_journal() -> Path:
    """The journal of this user."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, "edgebench", "board", "settings.json")


def clocks_file_of(journal: Path) -> Path:
    """Where jetson_clocks stores what it found."""
    return journal.with_name("clocks.conf")


def read_journal(journal: Path) -> Journal | None:
    """What a run that has not ended, or died, found before it changed the board's settings; None where all is back.

    Raises:
        SettingsError: the journal is not one, or somebody else's: commands run as root would follow it.
    """
    if not os.path.lexists(journal):
        return None
    try:
        for path in (journal.parent, journal, clocks_file_of(journal)):
            status = path.lstat()
            if status.st_uid != os.geteuid() or status.st_mode & 0o022:
                raise SettingsError(f"{path} can be written by others: look at it, and remove it if nobody needs it")
        with open(journal, "rb") as file:
            content = json.loads(file.read(_MOST_BYTES))
        mode, process = content["mode"], content["process"]
        if content["schema"] != SCHEMA or not isinstance(process, int) or not isinstance(mode, int | None):
            raise ValueError("not of this version")
        return Journal(mode, process, content["process_start"], content["boot"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(journal, str(error)) from None


def write_journal(journal: Path, facts: Journal) -> None:
    """On the disk when this returns, whole or not at all.

    Raises:
        OSError: it cannot be written, or another run has written its own in the meantime.
    """
    unfinished = journal.with_suffix(f".{facts.process}.tmp")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            json.dump({"schema": SCHEMA, **asdict(facts)}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        # A link, as renaming would replace the journal of another run.
        os.link(unfinished, journal)
    finally:
        unfinished.unlink()
    _sync_folder(journal.parent)


def remove_journal(journal: Path) -> None:
    """All is back: first the journal goes, so that a power cut in between leaves no journal without its clocks."""
    journal.unlink()
    _sync_folder(journal.parent)
    clocks_file_of(journal).unlink(missing_ok=True)


def _unreadable(journal: Path, why: str) -> SettingsError:
    return SettingsError(
        f"{journal} cannot be read ({why}): set the power mode with `sudo nvpmodel -m`, restart the board to free its "
        "clocks, and remove the file"
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _boot(machine: Machine) -> str | None:
    return machine.text("proc/sys/kernel/random/boot_id")


def _start_of(process: int, machine: Machine) -> str | None:
    """When a process began, in ticks since boot: its number may have been given away again."""
    fields = (machine.text(f"proc/{process}/stat") or "").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else None
