"""`edgebench latency --attack`: craft first, then replay what was crafted."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from bench.cli.bundling import need_torch
from bench.cli.errors import RequestError, Status
from bench.cli.streams import note
from bench.registry import make

# The interpreter finds packages where this one does.
_PROGRAM = "import sys; sys.path = sys.argv.pop(1).split(chr(10)); from bench.cli.main import main; sys.exit(main())"


def add_attack_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--attack", metavar="SPEC", help="attack the frames first, such as pgd:eps=8/255,steps=10 (needs torch)"
    )


def crafted_first(arguments: argparse.Namespace, folder: Path) -> argparse.Namespace:
    """The arguments with what `--attack` makes of their source, a stream of twins that is kept beside the run `folder`.

    Another process crafts, and ends: torch's threads, its allocator and its memory would still be there while frames
    are measured, and the run would not be the one that replays the same file.

    Raises:
        RequestError: the frames cannot be attacked.
    """
    if arguments.attack is None:
        return arguments
    need_torch()
    if arguments.corruption is not None:
        raise RequestError("usage", "frames are either attacked or corrupted", "Leave --attack or --corruption out.")
    # What would be refused after the crafting is refused before.
    make("attacks", arguments.attack)
    make("backends", arguments.backend)
    if arguments.controller is not None:
        make("controllers", arguments.controller)
    path = folder.with_name(f"{folder.name}.npz")
    if path.exists():
        raise RequestError(
            "attack", f"{path} was crafted before", f"Replay it with --source recorded://{path}, or delete it."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    _craft(_words(arguments, path))
    note(f"note: the attacked frames are kept in {path}")
    # They were cut when they were crafted.
    return argparse.Namespace(**{**vars(arguments), "source": f"recorded://{path}", "roi": None})


def _words(arguments: argparse.Namespace, path: Path) -> list[str]:
    words = ["--model", arguments.model, "--method", arguments.attack, "--source", arguments.source, "--out", str(path)]
    words += ["--threads", str(arguments.threads), "--json"]
    if arguments.frames is not None:
        # Frames that are shown: two of each pair, unless they are mixed.
        mixed = arguments.adversarial_share is not None
        words += ["--frames", str(arguments.frames if mixed else -(-arguments.frames // 2))]
    if arguments.seed is not None:
        words += ["--seed", str(arguments.seed)]
    if arguments.roi is not None:
        roi = arguments.roi
        words += ["--roi", roi if isinstance(roi, str) else f"{roi[0]},{roi[1]},{roi[2] - roi[0]},{roi[3] - roi[1]}"]
    return words


def _craft(words: list[str]) -> None:
    """Run `edgebench attack` in a process of its own, which shows on stderr how far it has come."""
    command = [sys.executable, "-c", _PROGRAM, "\n".join(sys.path), "attack", *words]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if ended.returncode == Status.DONE:
        return
    try:
        error = json.loads(ended.stdout)["error"]
        status = Status(ended.returncode)
    except (ValueError, KeyError, TypeError):
        raise RequestError(
            "attack", f"crafting ended with status {ended.returncode}", "Craft with edgebench attack, and replay."
        ) from None
    raise RequestError(error["code"], error["message"], error["hint"], status)
