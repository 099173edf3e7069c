"""Options for frames beside attacked or corrupted versions of themselves."""

from __future__ import annotations

import argparse
import math
from typing import NamedTuple

from bench.cli.arguments import whole
from bench.cli.errors import RequestError
from bench.corrupted import Corrupted
from bench.registry import make
from bench.report.facts import AttackFacts
from bench.spec import parse_spec
from devices.sources.base import Source, is_live
from devices.sources.recorded import Recorded
from edge.bundle import Bundle


class Stream(NamedTuple):
    """A source and its shortest spec; `attack` is None where its frames have no twins, `mixed` says that one of each
    pair is shown."""

    source: Source
    spec: str
    attack: AttackFacts | None
    mixed: bool


def add_twins_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--corruption", metavar="SPEC", help="show each frame corrupted too: gaussian:severity=3, brightness:3")
    add("--adversarial-share", type=_share, metavar="P", help="of a stream with twins, attack this share of the frames")
    add("--adversarial-bursts", type=whole, metavar="N", help="let attacked frames come N in a row")
    add("--transfer", action="store_true", help="replay frames that were crafted against another network")
    add("--alone", action="store_true", help="let the full network take no turns (needed for energy by version)")


def open_stream(arguments: argparse.Namespace, model: Bundle) -> Stream:
    """The source asked for, and how its frames were attacked or corrupted.

    Raises:
        RequestError: the options do not go together, or the frames were crafted against another network.
    """
    source, spec = make("sources", _with_share(arguments))
    crafted = isinstance(source, Recorded) and source.crafting is not None
    if arguments.corruption is None:
        return Stream(
            source, spec, _attack(source, spec, model, arguments.transfer), crafted and source.share is not None
        )
    corruption, its_spec = make("corruptions", arguments.corruption)
    if crafted or is_live(source):
        source.close()
        why = "have adversarial twins already" if crafted else "come in real time, and cannot wait for a second version"
        raise RequestError("usage", f"the frames of {spec} {why}, so --corruption is not for them", "Leave it out.")
    return Stream(Corrupted(source, corruption, arguments.seed or 0), spec, AttackFacts(its_spec), False)


def _with_share(arguments: argparse.Namespace) -> str:
    """The source's spec with the share and the bursts that were asked for; a run's seed draws those too."""
    spec: str = arguments.source
    if arguments.adversarial_share is None:
        if arguments.adversarial_bursts is not None:
            raise RequestError("usage", "bursts are of attacked frames", "Say how many: --adversarial-share 0.1.")
        return spec
    if parse_spec(spec).name != "recorded":
        raise RequestError(
            "usage", f"{spec} has no attacked frames", "Name a stream with twins: --source recorded://s.npz."
        )
    options = [f"share={arguments.adversarial_share:g}"]
    if arguments.adversarial_bursts is not None:
        options.append(f"bursts={arguments.adversarial_bursts}")
    if arguments.seed is not None:
        options.append(f"seed={arguments.seed}")
    return spec + ("," if "?" in spec else "?") + ",".join(options)


def _attack(source: Source, spec: str, model: Bundle, transfer: bool) -> AttackFacts | None:
    crafting = getattr(source, "crafting", None)
    if crafting is None:
        return None
    same = crafting.digest == model.digest
    if not (same or transfer):
        source.close()
        raise RequestError(
            "source",
            f"{spec} was crafted against {crafting.model} {crafting.digest[:12]}, and this is {model.name} "
            f"{model.digest[:12]}",
            "Give --transfer if that is meant.",
        )
    return AttackFacts(crafting.attack, crafting.model, crafting.digest, getattr(source, "digest", None), not same)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1, such as 0.1")
    return share
