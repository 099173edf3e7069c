"""Options that say when frames come: fetched one by one, at a rate, or as a camera gives them."""

from __future__ import annotations

import argparse

from bench.cli.arguments import fps, milliseconds, queue
from bench.cli.errors import RequestError
from bench.feed import ClosedLoop, Feed, OpenLoop
from bench.report.facts import OpenLoopFacts
from devices.sources.base import Source, is_live
from devices.sources.capture import Capture, Paced, Queue


def add_pacing_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--fps", type=fps, metavar="N", help="let frames come N times a second, as a camera's do, ready or not")
    add("--queue", type=queue, metavar="Q", help="where they wait: newest (default), all, or a number of places")
    add("--deadline", type=milliseconds, metavar="TIME", help="count answers later than this: 33ms (default: 1/fps)")


def open_feed(arguments: argparse.Namespace, source: Source, spec: str) -> tuple[Feed, OpenLoopFacts | None]:
    """Where frames come from, and how they are paced; None where they are fetched one by one.

    A camera is always an open loop.  Beside a baseline its newest frame is fetched, since two networks in turn cannot
    show which of them would keep up.
    """
    scheduled = hasattr(source, "offset_ns")
    if arguments.baseline is not None and (arguments.fps is not None or arguments.queue is not None):
        raise RequestError(
            "usage",
            "two networks that take turns cannot show whether one of them keeps up, so --baseline goes with neither "
            "--fps nor --queue",
            "Run each of them on its own.",
        )
    if arguments.fps is not None and is_live(source) and not scheduled:
        raise RequestError(
            "usage", f"{spec} has a pace of its own, so --fps cannot set it", "Ask the camera: camera://0?fps=30."
        )
    if arguments.fps is None and not is_live(source):
        if arguments.queue is not None:
            raise RequestError(
                "usage", f"frames of {spec} are fetched one by one and never wait", "Let them come: --fps 30."
            )
        return ClosedLoop(source), None
    paced = source if arguments.fps is None else Paced(source, arguments.fps)
    waiting: Queue = arguments.queue or "newest"
    if arguments.baseline is not None:
        return OpenLoop(Capture(paced), source.length, sampled=True), None
    return OpenLoop(Capture(paced, waiting), source.length), OpenLoopFacts(arguments.fps, str(waiting))


def deadline_ms(arguments: argparse.Namespace) -> float | None:
    """The deadline asked for, else the time until the next frame where that is known."""
    if arguments.deadline is None and arguments.fps is not None:
        return 1000.0 / float(arguments.fps)
    return None if arguments.deadline is None else float(arguments.deadline)
