"""The machine as a board sees it: the kernel's file tree, and the programs that came with the board."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

# Board programs lie in folders of the administrator, which a user's PATH may leave out.
_ADMINISTRATION = ("/usr/sbin", "/sbin")
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Ran:
    """What a program said, if it ran to its end with status 0; else why not."""

    text: str | None
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """A file tree from `root` down, and the folders in which programs are looked for.

    Without `search_path` that is PATH; a tree that is not the machine's own has no programs then.
    """

    root: Path = Path("/")
    search_path: str | None = None

    def text(self, path: str | Path) -> str | None:
        """What a file says, without the white space and NUL around it; None where it cannot be read, or is empty."""
        try:
            return _read(self.root / path).decode("utf-8", "replace").strip().strip("\0") or None
        except OSError:
            return None

    def number(self, path: str | Path) -> int | None:
        """The whole number in a file."""
        return whole_number(self.text(path))

    def find(self, pattern: str, folder: Path | None = None) -> list[Path]:
        """The paths below the root, or a folder, that match; `hwmon2` comes before `hwmon10`."""
        return sorted((folder or self.root).glob(pattern), key=_natural)

    def obstacle(self, path: str | Path) -> str | None:
        """Why a file cannot be read; None if it can."""
        try:
            _read(self.root / path)
        except PermissionError:
            return "needs root"
        except OSError as error:
            gone = error.errno in (errno.ENOENT, errno.ENOTDIR)
            return "not there" if gone else f"cannot be read ({error.strerror})"
        return None

    def program(self, name: str) -> str | None:
        """Where a program lies."""
        if self.search_path is not None:
            return shutil.which(name, path=self.search_path)
        if self.root != Path("/"):
            return None
        return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_ADMINISTRATION)))

    def run(self, name: str, *arguments: str, patience_s: float = 5.0) -> Ran:
        """Let a program say something; it gets no input and no shell."""
        program = self.program(name)
        if program is None:
            return Ran(None, f"needs the program {name}")
        try:
            ran = subprocess.run(
                [program, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=patience_s,
                env={**os.environ, "LC_ALL": "C"},
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Ran(None, f"{name} does not answer")
        except OSError as error:
            return Ran(None, f"{name} cannot be started ({error.strerror})")
        if ran.returncode == 0:
            return Ran(ran.stdout.decode("utf-8", "replace"))
        said = (ran.stderr or ran.stdout).decode("utf-8", "replace").strip().splitlines()
        if re.search(r"\b(root|sudo|permission|superuser)\b", " ".join(said), re.IGNORECASE):
            return Ran(None, "needs root")
        return Ran(None, f"{name} fails ({said[-1] if said else f'status {ran.returncode}'})")

    def first_line(self, name: str, *arguments: str, patience_s: float = 5.0) -> str | None:
        """The first line of a program that talks on and on; it is stopped when that is there, or the patience over."""
        program = self.program(name)
        if program is None:
            return None
        silence = subprocess.DEVNULL
        try:
            with subprocess.Popen(
                [program, *arguments], stdin=silence, stdout=subprocess.PIPE, stderr=silence
            ) as running:
                stop = threading.Timer(patience_s, running.kill)
                stop.start()
                try:
                    line: bytes = running.stdout.readline() if running.stdout is not None else b""
                finally:
                    stop.cancel()
                    running.kill()
        except OSError:
            return None
        return line.decode("utf-8", "replace").strip() or None


def whole_number(text: str | None) -> int | None:
    """The number that a text is, below zero too; digits of other alphabets are none."""
    return int(text) if text is not None and re.fullmatch(r"-?[0-9]{1,20}", text) else None


def _read(path: Path) -> bytes:
    # Sensors that are switched off fail at open or in the middle; files of the kernel give their text in pieces.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces = []
        size = 0
        while size < _MOST_BYTES and (piece := os.read(descriptor, 1 << 16)):
            pieces.append(piece)
            size += len(piece)
    finally:
        os.close(descriptor)
    return b"".join(pieces)


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(digits or -1), letters) for digits, letters in re.findall(r"([0-9]+)|([^0-9]+)", str(path))]
