"""`edgebench attack`: a recorded stream of adversarial frames beside the clean ones that they were made of."""

from __future__ import annotations

import argparse
import shutil
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.cli.arguments import region, seed, whole
from bench.cli.bundling import need_torch
from bench.cli.cluster import add_cluster_argument, batches, check_cluster
from bench.cli.computing import add_one_core_argument, compute_with
from bench.cli.errors import RequestError, Status
from bench.cli.progress import progress
from bench.cli.sourcing import add_source_argument, source_or_own
from bench.cli.streams import note, reader_may_leave
from bench.harness import FRAMES_BY_DEFAULT
from bench.registry import make
from bench.report.document import render_json
from bench.statistics.proportion import proportion_estimate
from bench.summary import Estimate
from devices.detector import SignDetector
from devices.sources.base import Source, is_live
from edge.bundle import open_bundle
from edge.models import model_folder

if TYPE_CHECKING:
    from bench.attacked_stream import AttackedStream, Wanted

EPILOG = """\
examples:
  edgebench attack --model gusodrop --method pgd:eps=8/255,steps=10,eot=20
      --source dataset://gtsrb/tracks --frames 300 --out s.npz
  edgebench latency --model gusodrop --source recorded://s.npz

What was crafted is kept beside the output until it is whole: the same command
goes on where it was stopped, and gives the same bytes.
"""
# So many frames are named in a sentence.
_NAMED = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("--model", required=True, metavar="NAME_OR_FOLDER", help="the network to attack")
    add("--method", required=True, metavar="SPEC", help="the attack, such as pgd:eps=8/255,steps=10,eot=20")
    add_source_argument(parser)
    add("--frames", type=whole, metavar="N", help=f"how many (default all, up to {FRAMES_BY_DEFAULT})")
    add("--roi", type=region, metavar="X,Y,W,H", help="the part of every image to keep, or frame, or detect")
    add("--out", type=Path, required=True, metavar="FILE.npz", help="the stream to write")
    add("--overwrite", action="store_true", help="replace what is there")
    add("--work", type=Path, metavar="FOLDER", help="where finished batches are kept (default: FILE.npz.work, for now)")
    add("--floats", action="store_true", help="keep the adversarial frames before rounding to 8 bits, too")
    add("--seed", type=seed, default=0, metavar="N", help="seed of all that is random (default 0)")
    add(
        "--batch",
        type=whole,
        metavar="N",
        help="frames crafted together (default 64, with draws fewer)",
    )
    add_one_core_argument(parser)
    add_cluster_argument(parser)
    add("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    need_torch()
    check_cluster(arguments)
    _check_place(arguments.out, arguments.overwrite)
    from bench.attacked_stream import Wanted, read_frames, write_stream
    from bench.crafting import fitting_batch

    compute_with(arguments.threads)
    attack, spec = make("attacks", arguments.method)
    bundle = open_bundle(model_folder(arguments.model))
    source, source_spec = make("sources", source_or_own(arguments.source, bundle))
    work = arguments.work or arguments.out.with_name(arguments.out.name + ".work")
    with closing(source), batches(arguments) as made, progress() as show:
        wanted = Wanted(
            bundle,
            attack,
            spec,
            source_spec,
            _count(arguments.frames, source, source_spec),
            SignDetector() if arguments.roi == "detect" else arguments.roi,
            arguments.seed,
            arguments.batch or fitting_batch(attack),
            arguments.threads,
            arguments.floats,
        )
        try:
            stream = write_stream(arguments.out, wanted, read_frames(wanted, source, show), work, show, made)
        except ValueError as error:
            raise RequestError("attack", str(error)) from error
        except KeyboardInterrupt:
            kept = f"What was crafted is kept in {work}: the same command goes on."
            raise RequestError("interrupted", "interrupted", kept, Status.INTERRUPTED) from None
    if arguments.work is None:
        shutil.rmtree(work)
    for sentence in _warnings(stream):
        note(f"note: {sentence}")
    with reader_may_leave():
        if arguments.json:
            print(render_json(_document(arguments.out, wanted, stream)))
        else:
            print(_text(arguments.out, wanted, stream))
    return Status.DONE


def _check_place(path: Path, overwrite: bool) -> None:
    """Refuse now what would fail after hours."""
    if path.is_dir() or (path.exists() and not overwrite):
        raise RequestError("attack", f"{path} exists already", "Choose another --out, or add --overwrite.")
    if not path.parent.is_dir():
        raise RequestError("attack", f"{path.parent} is no folder", "Make it, or choose another --out.")


def _count(frames: int | None, source: Source, spec: str) -> int:
    """How many frames to attack.

    Raises:
        RequestError: frames that do not come again cannot be crafted from, nor adversarial ones.
    """
    if getattr(source, "crafting", None) is not None:
        raise RequestError("source", f"the frames of {spec} have adversarial twins already", "Name a clean source.")
    if source.length is None and is_live(source):
        hint = "Record it first, with edgebench record, and craft from recorded://."
        raise RequestError("source", f"the frames of {spec} do not come a second time", hint)
    if frames is None:
        if source.length is not None and source.length > FRAMES_BY_DEFAULT:
            note(
                f"note: the first {FRAMES_BY_DEFAULT:,} of {source.length:,} frames are attacked: --frames N takes more"
            )
        frames = FRAMES_BY_DEFAULT
    return frames if source.length is None else min(frames, source.length)


def _warnings(stream: AttackedStream) -> list[str]:
    """One sentence for gradients that were zero everywhere, and one for those that were not finite."""
    kinds = {
        "zero everywhere": (stream.made.zero_gradients, "they may hide that the network can be fooled"),
        "not finite": (stream.made.non_finite_gradients, "they moved nothing"),
    }
    return [
        f"gradients of {_frames(counts)} were {kind}: {meaning}"
        for kind, (counts, meaning) in kinds.items()
        if any(counts)
    ]


def _frames(counts: NDArray[np.int32]) -> str:
    indices = np.flatnonzero(counts)
    named = ", ".join(map(str, indices[:_NAMED])) + (", ..." if len(indices) > _NAMED else "")
    return f"{len(indices):,} of {len(counts):,} frames ({named})"


def _right(stream: AttackedStream) -> dict[str, Estimate | None]:
    """The share of right answers at crafting, among frames with a label."""
    known = stream.clean.labels >= 0
    return {
        name: proportion_estimate(scores.argmax(1)[known] == stream.clean.labels[known])
        for name, scores in (("clean", stream.clean_scores), ("adversarial", stream.adversarial_scores))
    }


def _changed(stream: AttackedStream) -> Estimate:
    """The share of frames whose answer at crafting is not that of its twin."""
    changed = proportion_estimate(stream.clean_scores.argmax(1) != stream.adversarial_scores.argmax(1))
    assert changed is not None
    return changed


def _document(path: Path, wanted: Wanted, stream: AttackedStream) -> dict[str, Any]:
    made, changed = stream.made, _changed(stream)
    return {
        "schema": 1,
        "stream": {"file": str(path), "digest": stream.digest, "pairs": len(made.frames), "floats": wanted.floats},
        "attack": wanted.spec,
        "model": {"name": wanted.bundle.name, "digest": wanted.bundle.digest},
        "source": wanted.source,
        "seed": wanted.seed,
        "accuracy": {name: share and asdict(share) for name, share in _right(stream).items()},
        "answers_changed": asdict(changed),
        "gradients": int(made.gradients.sum()),
        "queries": int(made.queries.sum()),
        "zero_gradients": np.flatnonzero(made.zero_gradients).tolist(),
        "non_finite_gradients": np.flatnonzero(made.non_finite_gradients).tolist(),
    }


def _text(path: Path, wanted: Wanted, stream: AttackedStream) -> str:
    made = stream.made
    shares = {"answers changed": _changed(stream)}
    shares |= {f"{name} frames right": share for name, share in _right(stream).items() if share is not None}
    return "\n".join(
        [
            f"{path}: {len(made.frames):,} pairs, digest {stream.digest[:12]}",
            f"{wanted.spec} on {wanted.bundle.name} {wanted.bundle.digest[:12]}, seed {wanted.seed}",
            *(f"  {name:<24} {each.value:7.1%} [{each.low:.1%}, {each.high:.1%}]" for name, each in shares.items()),
            f"  {'gradients, queries':<24} {made.gradients.sum():,}, {made.queries.sum():,}",
        ]
    )
