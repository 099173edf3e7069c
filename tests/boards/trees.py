"""Boards as trees of files, for tests: `tests/boards/NAME.txt` holds what a board's kernel and programs say.

A line is `path = content` or, for a program, `bin/NAME ARGUMENTS = what it says`, with \\n, \\t and \\0 written so.
A line that begins with # says where those below it come from.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from devices.boards.machine import Machine

FOLDER = Path(__file__).parent
BOARDS = tuple(sorted(path.stem for path in FOLDER.glob("*.txt")))
# The stand-ins are shell scripts that need nothing but the shell.
_HEAD = "#!/bin/sh\n"


def build(name: str, folder: Path) -> Machine:
    """The board, put into a folder; its programs are found there and nowhere else."""
    root, programs = folder / "root", folder / "bin"
    root.mkdir(parents=True)
    programs.mkdir()
    for line in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            place, content = line.split(" = ", 1)
            content = content.replace("\\n", "\n").replace("\\t", "\t").replace("\\0", "\0")
            if place.startswith("bin/"):
                program, _, arguments = place.removeprefix("bin/").partition(" ")
                says(programs / program, content, arguments)
            else:
                write(root, place, content)
    return Machine(root, str(programs))


def write(root: Path, place: str, content: str) -> None:
    """A file of the tree; the kernel ends what it says with a line break."""
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_text(content + "\n", encoding="utf-8")


def says(program: Path, text: str, arguments: str = "*", status: int = 0) -> None:
    """A program that answers to these arguments, whatever else it answered to before."""
    if not program.exists():
        program.write_text(_HEAD)
        program.chmod(0o755)
    case = arguments if arguments == "*" else shlex.quote(arguments)
    to = "" if status == 0 else " >&2"
    answer = f'case "$*" in {case}) printf "%s\\n" {shlex.quote(text)}{to}; exit {status};; esac\n'
    program.write_text(program.read_text() + answer)
