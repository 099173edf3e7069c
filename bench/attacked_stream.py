"""A stream of twins from any source: its frames as the network sees them, what was made of them, and what was said."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from bench.attacks.base import Attack
from bench.attacks.open_target import open_target
from bench.contenders import open_contender
from bench.crafting import Adversarial, Batches, Crafting, Order, Report, craft, one_after_another
from bench.harness import Region, label_of
from bench.registry import make
from devices.sources.base import Frame, Source, SourceError
from devices.twins import MAX_TWINS_BYTES, write_twins
from devices.twins import Crafting as Made
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import Bundle
from edge.preprocess import Preprocessor, RegionError
from edge.runtime import FrameError

Frames: TypeAlias = NDArray[np.uint8]
Scores: TypeAlias = NDArray[np.float32]

# The file says of this many frames that their gradients were of no use; it counts all of them.
_MOST_NAMED = 10_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """An attack (its `spec` says all about it) on what `bundle` answers to `frames` frames of a source, its whole
    images or the region `roi` of each.

    `seed` decides all that is random, `batch` how many frames are crafted together, `threads` how many torch computes
    with.  With `floats` the file holds the adversarial frames before they are rounded, too.
    """

    bundle: Bundle
    attack: Attack
    spec: str
    source: str
    frames: int
    roi: Region = None
    seed: int = 0
    batch: int = 64
    threads: int = 1
    floats: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Clean:
    """The frames to attack, (n, height, width, 3) uint8 RGB of the network's size, with `labels` and `tracks` (n,), -1
    where there is none; `named` says whether the labels are classes of the network."""

    frames: Frames
    labels: NDArray[np.int64]
    tracks: NDArray[np.int64]
    named: bool


@dataclass(frozen=True, slots=True, eq=False)
class AttackedStream:
    """The file that was written: its `digest`, what was read and crafted, and what the network said of both."""

    digest: str
    clean: Clean
    made: Adversarial
    clean_scores: Scores
    adversarial_scores: Scores


def read_frames(wanted: Wanted, source: Source, report: Report = lambda step: None) -> Clean:
    """The first frames of a source as the network sees them: cut, resized, and rounded to 8 bits again.

    Raises:
        SourceError: the source breaks off, has no frame, or has a label that is none of the network's classes.
        RegionError: a region does not lie inside its frame.
        ValueError: the file would be larger than a stream of twins may be.
    """
    task, began = wanted.bundle.manifest.task, time.monotonic()
    classes = len(task.classes) if source.task == task.dataset else None
    _, _, height, width = wanted.bundle.manifest.input_shape
    _check_size(wanted, height * width * 3, len(task.classes))
    preprocess, images, labels, tracks = Preprocessor(height, width), [], [], []
    for frame in itertools.islice(source.frames(), wanted.frames):
        tensor = preprocess(frame.image, _region(frame, wanted.roi))
        images.append(np.rint(tensor[0].transpose(1, 2, 0) * 255).astype(np.uint8))
        label = label_of(frame, classes)
        labels.append(-1 if label is None else label)
        tracks.append(-1 if frame.track is None else frame.track)
        report(Crafting(len(images), wanted.frames, time.monotonic() - began, "frames read"))
    if not images:
        raise SourceError(f"{wanted.source} gave no frame: choose a source with frames")
    return Clean(np.stack(images), np.array(labels, np.int64), np.array(tracks, np.int64), classes is not None)


def write_stream(
    path: Path,
    wanted: Wanted,
    clean: Clean,
    work: Path,
    report: Report = lambda step: None,
    batches: Batches = one_after_another,
) -> AttackedStream:
    """Craft the adversarial twin of every frame, and write both to `path`; finished batches are kept in `work`.

    Equal arguments give equal bytes on one machine, also where crafting was killed and went on.  What has no label is
    attacked as what the network calls it.

    Raises:
        BundleError, PluginError: the bundle cannot be differentiated.
        ValueError: the attack does not fit the network, or `work` holds other batches.
        SourceError: the file cannot be written.
    """
    target = open_target(wanted.bundle)
    said = _Said(wanted, report)
    try:
        clean_scores = said.of(clean.frames, "clean frames shown")
        aims = np.where(clean.labels < 0, clean_scores.argmax(1), clean.labels)
        frames = np.ascontiguousarray(clean.frames.transpose(0, 3, 1, 2))
        tracks = clean.tracks if (clean.tracks >= 0).any() else None
        order = Order(
            wanted.attack,
            wanted.spec,
            target,
            wanted.bundle.digest,
            frames,
            aims,
            wanted.seed,
            wanted.batch,
            tracks,
        )
        made = craft(order, work, report, batches, within=report)
        attacked = np.ascontiguousarray(made.frames.transpose(0, 2, 3, 1))
        adversarial_scores = said.of(attacked, "attacked frames shown")
    finally:
        said.close()
    digest = write_twins(
        path,
        clean.frames,
        attacked,
        clean.labels,
        _how(wanted, clean, made),
        tracks=clean.tracks,
        floats=np.ascontiguousarray(made.images.transpose(0, 2, 3, 1)) if wanted.floats else None,
        clean_scores=clean_scores,
        adversarial_scores=adversarial_scores,
    )
    return AttackedStream(digest, clean, made, clean_scores, adversarial_scores)


class _Said:
    """What the network says as it is deployed: on its runtime, under the controller that the bundle names, with draws
    of its own that no attack has seen."""

    def __init__(self, wanted: Wanted, report: Report) -> None:
        bundle, self._report = wanted.bundle, report
        controller, _ = make("controllers", bundle.manifest.controllers.default)
        contender = open_contender(bundle.name, bundle, OnnxRuntime(), controller, threads=1, seed=wanted.seed)
        self._runtime = contender.runtime
        self._preprocess = Preprocessor(*bundle.manifest.input_shape[2:])
        self.close = self._runtime.close

    def of(self, frames: Frames, phase: str) -> Scores:
        """The scores (n, classes) of frames (n, height, width, 3)."""
        began, scores = time.monotonic(), []
        for number, frame in enumerate(frames):
            try:
                scores.append(self._runtime.infer(self._preprocess(frame)).scores.copy())
            except FrameError as error:
                raise ValueError(f"the network has no answer to frame {number} ({error}): attack another") from error
            self._report(Crafting(number + 1, len(frames), time.monotonic() - began, phase))
        return np.stack(scores)


def _region(frame: Frame, roi: Region) -> tuple[int, int, int, int] | None:
    if roi == "frame":
        if frame.roi is None:
            raise RegionError(f"{frame.name}: the source marks no region; leave out --roi frame")
        return frame.roi
    return roi(frame.image) if callable(roi) else roi


def _check_size(wanted: Wanted, values: int, classes: int) -> None:
    each = values * (2 + 4 * wanted.floats) + 8 * classes + 16
    if wanted.frames * each > MAX_TWINS_BYTES:
        raise ValueError(
            f"{wanted.frames:,} frames and their twins take {wanted.frames * each / 2**30:.1f} GiB, more than the "
            f"{MAX_TWINS_BYTES // 2**30} that a board holds: craft at most {MAX_TWINS_BYTES // each:,} at a time"
        )


def _how(wanted: Wanted, clean: Clean, made: Adversarial) -> Made:
    bundle = wanted.bundle
    more = {
        "frames": len(made.frames),
        "roi": "detect" if callable(wanted.roi) else wanted.roi,
        "batch": wanted.batch,
        "threads": wanted.threads,
        "controller": bundle.manifest.controllers.default,
        "surrogates": list(wanted.attack.surrogates),
        "gradients": int(made.gradients.sum()),
        "queries": int(made.queries.sum()),
        "zero_gradients": _counted(made.zero_gradients),
        "non_finite_gradients": _counted(made.non_finite_gradients),
    }
    versions = {"edgebench": version("edgebench"), "python": python_version()}
    versions |= {"numpy": np.__version__, "torch": str(torch.__version__)}
    task = bundle.manifest.task.dataset if clean.named else None
    return Made(wanted.spec, bundle.name, bundle.digest, wanted.source, wanted.seed, task, versions, more)


def _counted(gradients: NDArray[np.int32]) -> dict[str, object]:
    """Of how many frames there was such a gradient, which they are (the first ten thousand), and how many of each."""
    frames = np.flatnonzero(gradients)
    named = frames[:_MOST_NAMED]
    return {"frames": len(frames), "indices": named.tolist(), "gradients": gradients[named].tolist()}
