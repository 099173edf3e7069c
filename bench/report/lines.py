"""Lines of styled text, printed in colour on a terminal and plain anywhere else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TextIO

# A line is spans of (text, style); styles say what the text is, and only `_COLOURS` how that looks.
Line = tuple[tuple[str, str], ...]

_COLOURS = {"": "", "title": "bold", "dim": "dim", "good": "bold green", "bad": "bold red", "bar": "cyan"}


def plain(line: Line) -> str:
    """The text of a line; what would steer a terminal, which records of others may hold, is replaced."""
    return "".join(_printable(text) for text, _ in line)


def print_lines(lines: Sequence[Line], stream: TextIO) -> None:
    """Print the lines, in colour where the stream is a terminal that wants it."""
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        stream.write("".join(f"{_encodable(plain(line), stream)}\n" for line in lines))
        return
    # Here, because importing rich takes 80 ms and a pipe does without.
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False, soft_wrap=True)
    for line in lines:
        spans = [(_encodable(_printable(text), stream), _COLOURS[style]) for text, style in line]
        console.print(Text.assemble(*spans))


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _encodable(text: str, stream: TextIO) -> str:
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return text.replace("█", "#")
    return text
