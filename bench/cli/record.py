"""`edgebench record`: keeps the frames of a source for replay."""

from __future__ import annotations

import argparse
import errno
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cli.arguments import duration, named_folder, queue, whole
from bench.cli.errors import RequestError, Status, explain
from bench.cli.streams import note, reader_may_leave
from bench.harness import FRAMES_BY_DEFAULT
from bench.registry import make
from bench.report.document import render_json
from bench.stopping import Stopping
from devices.recording import ClipWriter, RecordingError
from devices.sources.base import Frame, Source, SourceError, is_live
from devices.sources.capture import Capture, Queue

EPILOG = """\
examples:
  edgebench record --source camera://0 --out clip
  edgebench record --source rtsp://192.168.1.20/live --out clip --duration 5m
  edgebench latency --model gusodrop --source recorded://clip
  edgebench latency --model gusodrop --source 'recorded://clip?pace=none'

Pictures are kept without loss, as PNG files; a second of 640x480 at 30 frames
takes about 18 MB. Ctrl-C ends a recording and keeps it.
"""
QUEUE_HELP = "frames that may wait for the disk: all (default), newest, or a number; others are left out and counted"
SHOWN_EVERY_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("--source", required=True, metavar="SPEC", help="where frames come from")
    add("--out", required=True, type=named_folder, metavar="CLIP", help="new folder for the frames")
    add("--frames", type=whole, metavar="N", help=f"stop after N frames (endless sources: {FRAMES_BY_DEFAULT})")
    add("--duration", type=duration, metavar="TIME", help="stop after this time: 30s, 5m, 2h")
    add("--queue", type=queue, default="all", metavar="all|newest|N", help=QUEUE_HELP)
    add("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    frames = arguments.frames
    with ExitStack() as opened:
        source, spec = make("sources", arguments.source)
        opened.enter_context(closing(source))
        if frames is None and arguments.duration is None and source.length is None and not is_live(source):
            frames = FRAMES_BY_DEFAULT
        clip = opened.enter_context(_opened(arguments.out, source.task))
        with Stopping() as stopping:
            kept = _keep(source, arguments.queue, clip, frames, arguments.duration, stopping)
    for remark in getattr(source, "remarks", list)():
        note(f"note: {remark}")
    if kept.frames and not (arguments.json and kept.error):
        _print(arguments, kept, spec)
    if kept.error is not None:
        raise _ending(kept.error, kept.frames, arguments.out)
    if not kept.frames and not kept.interrupted:
        raise RequestError("source", "the source gave no frame", "Choose a source with frames.")
    # A recording without an end is ended by Ctrl-C, and is complete then.
    endless = source.length is None and frames is None and arguments.duration is None
    return Status.INTERRUPTED if kept.interrupted and not (endless and kept.frames) else Status.DONE


@dataclass
class _Kept:
    """What was kept, and why no more."""

    frames: int = 0
    dropped: int = 0
    seconds: float = 0.0
    size_bytes: int = 0
    interrupted: bool = False
    error: Exception | None = None


def _keep(
    source: Source, queue: Queue, clip: ClipWriter, frames: int | None, duration_s: float | None, stopping: Stopping
) -> _Kept:
    kept = _Kept()
    began_s = shown_s = time.monotonic()
    capture = Capture(source, queue) if is_live(source) else None
    try:
        for frame, arrival_ns in _arrivals(source, capture, stopping):
            clip.append(frame, arrival_ns)
            now_s = time.monotonic()
            if stopping.requested:
                kept.interrupted = True
                break
            if clip.frames == frames or (duration_s is not None and now_s - began_s >= duration_s):
                break
            if now_s - shown_s >= SHOWN_EVERY_S:
                shown_s = now_s
                _show(clip)
    except (SourceError, RecordingError, OSError) as error:
        kept.error = error
    except KeyboardInterrupt:
        kept.interrupted = True
    finally:
        if capture is not None:
            capture.close()
            kept.dropped = capture.dropped
    kept.frames, kept.size_bytes, kept.seconds = clip.frames, clip.bytes_written, time.monotonic() - began_s
    return kept


def _arrivals(source: Source, capture: Capture | None, stopping: Stopping) -> Iterator[tuple[Frame, int | None]]:
    """Frames as they come, with the time; of a source that is not live, without one, as fast as they are kept."""
    frames = source.frames() if capture is None else capture
    while True:
        with stopping.waiting():
            taken: Any = next(frames, None)
        if taken is None:
            return
        yield (taken, None) if capture is None else (taken.frame, taken.arrival_ns)


def _opened(folder: Path, task: str | None) -> ClipWriter:
    try:
        return ClipWriter(folder, task)
    except RecordingError as error:
        raise RequestError("records", f"{folder} {error}") from None


def _ending(error: Exception, frames: int, folder: Path) -> RequestError:
    """Why a recording ended before its end, and what is left of it."""
    if isinstance(error, RecordingError):
        told = RequestError("records", f"{folder} {error}")
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        told = RequestError("disk", f"no space is left for {folder}", "Free some, or name another disk.")
    else:
        told = explain(error)
    if not frames:
        return told
    return RequestError(
        told.code, told.message, f"The {frames:,} frames before are kept in {folder}.", Status.BROKEN_OFF
    )


def _print(arguments: argparse.Namespace, kept: _Kept, spec: str) -> None:
    document = {
        "schema": 1,
        "source": spec,
        "folder": str(arguments.out),
        "frames": kept.frames,
        "dropped": kept.dropped,
        "seconds": kept.seconds,
        "size_bytes": kept.size_bytes,
    }
    with reader_may_leave():
        print(render_json(document) if arguments.json else _sentence(arguments.out, kept))


def _sentence(folder: Path, kept: _Kept) -> str:
    dropped = f", {kept.dropped:,} left out because they came too fast" if kept.dropped else ""
    return (
        f"{folder}: {kept.frames:,} frames in {kept.seconds:.1f} s, {kept.size_bytes / 1e6:.1f} MB{dropped}\n"
        f"replay: --source recorded://{folder}"
    )


def _show(clip: ClipWriter) -> None:
    """A line that is written over, where somebody sees it."""
    if sys.stderr.isatty():
        with suppress(OSError):
            print(f"\r{clip.frames:,} frames, {clip.bytes_written / 1e6:.0f} MB ", end="", file=sys.stderr, flush=True)
