"""Adversarial images by the thousand: batch by batch, kept as they are finished, the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from bench.attacks.ball import Ball, check
from bench.attacks.base import Attack
from bench.attacks.journal import Journal, State
from bench.attacks.target import Target
from export.training.work_file import reading

# Images times draws that go through a network together: more save no time on a processor, and are lost together.
_TOGETHER, _FEWEST = 64, 8
# A batch that all frames share may take an hour.
_STEPS_EVERY_S = 30.0


def fitting_batch(attack: Attack) -> int:
    """How many images to craft together: fewer, the more draws `attack` averages over, so that none is lost for long
    where the work is stopped.  It depends on the attack alone, as the bytes of a batch do."""
    draws = attack.draws
    return _FEWEST if draws is None else max(_FEWEST, _TOGETHER // draws)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be crafted: `attack`, whose `spec` says all about it, on `target`, for 8-bit `frames` (n, 3, h, w)
    uint8 with `labels` (n,) int64, `batch` of them at a time.

    `tracks` (n,) int64, -1 for none, say which frames follow each other; None where the source does not know.  `model`
    names the target's weights, for example a bundle's digest: batches on other weights are not mixed.
    """

    attack: Attack
    spec: str
    target: Target
    model: str
    frames: NDArray[np.uint8]
    labels: NDArray[np.int64]
    seed: int = 0
    batch: int = 64
    tracks: NDArray[np.int64] | None = None

    @property
    def together(self) -> int:
        """How many frames are crafted together: a batch, or all where the attack says that they share a change."""
        return len(self.frames) if self.attack.whole else self.batch

    @property
    def batches(self) -> int:
        return -(-len(self.frames) // self.together)

    def rows(self, index: int) -> slice:
        """The frames of a batch."""
        return slice(index * self.together, min((index + 1) * self.together, len(self.frames)))

    def claim(self) -> dict[str, object]:
        """Everything that decides the bytes of a batch, but for the machine."""
        digest = hashlib.sha256(np.ascontiguousarray(self.frames).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        if self.tracks is not None:
            digest.update(np.ascontiguousarray(self.tracks).data)
        return {
            "attack": self.spec,
            "model": self.model,
            "frames": digest.hexdigest(),
            "seed": self.seed,
            "batch": self.batch,
            **({"surrogates": list(surrogates)} if (surrogates := self.attack.surrogates) else {}),
        }


@dataclass(frozen=True, slots=True)
class Adversarial:
    """Crafted images, in the order of the frames that they were made from.

    `images` (n, 3, h, w) float32 in [0, 1]; `frames`, the same as uint8, lie inside the ball too.  How many of an
    image's gradients were zero everywhere or not finite, (n,); the gradients and queries spent on each, (n,).
    """

    images: NDArray[np.float32]
    frames: NDArray[np.uint8]
    zero_gradients: NDArray[np.int32]
    non_finite_gradients: NDArray[np.int32]
    gradients: NDArray[np.int64]
    queries: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Crafting:
    """How far it has come: `step` of the `steps` images that were not finished before, `seconds` since it began.

    Of a batch in the making, as many images count as its share of the gradients and queries that it may take.
    """

    step: int
    steps: int
    seconds: float
    phase: str
    metrics: Mapping[str, float] = field(default_factory=dict)


Report: TypeAlias = Callable[[Crafting], None]
# Makes the batches of these numbers, and gives each with its number when it is finished, in any order.  Whoever makes
# them in this process calls the third argument after every look at the target, and may leave the steps of a batch in
# the making in the folder, if there is one.
Batches: TypeAlias = Callable[
    [Order, Sequence[int], Callable[[], None], "Path | None"], Iterator[tuple[int, Adversarial]]
]


def one_after_another(
    order: Order, indices: Sequence[int], looked: Callable[[], None], work: Path | None
) -> Iterator[tuple[int, Adversarial]]:
    """The batches of these numbers, made here, in turn; the one in the making leaves its steps in the folder `work`."""
    for index in indices:
        journal = None if work is None else _StepsFile(_steps_path(work, index))
        yield index, craft_batch(replace(order, target=order.target.watched(looked, journal)), index)


def craft(
    order: Order,
    work: Path | None = None,
    report: Report = lambda step: None,
    batches: Batches = one_after_another,
    *,
    within: Report = lambda step: None,
) -> Adversarial:
    """Craft every batch that is not finished in the folder `work` yet, which makes it resumable, and give them all.

    A batch depends on its own number and never on what was crafted before it, so that any process may make it; where
    they are made is up to `batches`.  `report` is told after every batch, and `within` after every look of the attack
    at its target; what either raises ends the work, and finished batches are kept.

    Raises:
        ValueError: there are no frames, `work` holds batches of another order or damaged ones, or the target does not
            have what the attack's options name.
        OutsideError: the attack left its ball or the range of pixels.
    """
    if not len(order.frames):
        raise ValueError("there are no frames to craft from: name a source that has some")
    if work is not None:
        _claim(order, work)
    parts = {} if work is None else {index: _load(_path(work, index)) for index in finished(order, work)}
    missing = [index for index in range(order.batches) if index not in parts]
    progress = _Progress(order, missing)
    for index, part in batches(order, missing, lambda: within(progress.looked()), work):
        parts[index] = part
        if work is not None:
            _save(part, _path(work, index))
            _steps_path(work, index).unlink(missing_ok=True)
        report(progress.finished(part))
    return _joined([parts[index] for index in range(order.batches)])


def finished(order: Order, work: Path) -> list[int]:
    """The batches of `order` that lie in the folder `work`."""
    return [index for index in range(order.batches) if _path(work, index).exists()]


def kept(order: Order, work: Path) -> tuple[NDArray[np.int64], Adversarial]:
    """The rows of the finished batches in `work`, of which there must be one, and what was made of them."""
    indices = finished(order, work)
    rows = np.arange(len(order.frames))
    return np.concatenate([rows[order.rows(index)] for index in indices]), _joined(
        [_load(_path(work, index)) for index in indices]
    )


class _Progress:
    """Counts the images of the batches that were `missing`, and the looks at the one in the making."""

    def __init__(self, order: Order, missing: Sequence[int]) -> None:
        self._order, self._began = order, time.monotonic()
        self._steps = sum(len(order.labels[order.rows(index)]) for index in missing)
        self._step = self._looks = 0

    def looked(self) -> Crafting:
        self._looks += 1
        share = min(1.0, self._looks / self._order.attack.looks)
        return self._told(min(self._step + int(share * self._order.together), self._steps - 1), {})

    def finished(self, part: Adversarial) -> Crafting:
        self._step, self._looks = self._step + len(part.images), 0
        silent = float(np.mean(part.zero_gradients > 0))
        return self._told(self._step, {"zero gradients": silent} if silent else {})

    def _told(self, step: int, metrics: Mapping[str, float]) -> Crafting:
        return Crafting(step, self._steps, time.monotonic() - self._began, self._order.spec, metrics)


def _path(work: Path, index: int) -> Path:
    return work / f"batch-{index:06d}.npz"


def _steps_path(work: Path, index: int) -> Path:
    return work / f"steps-{index:06d}.npz"


class _StepsFile(Journal):
    """A file with the steps of a batch in the making, written every `_STEPS_EVERY_S` seconds."""

    def __init__(self, path: Path) -> None:
        self._path, self._left = path, time.monotonic()

    def found(self) -> State | None:
        if not self._path.exists():
            return None
        with reading(self._path, "is damaged", "delete it, and craft again"), np.load(self._path) as arrays:
            return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def leave(self, state: Callable[[], State]) -> None:
        if (now := time.monotonic()) - self._left < _STEPS_EVERY_S:
            return
        self._left = now
        _save_arrays({name: tensor.numpy() for name, tensor in state().items()}, self._path)


def craft_batch(order: Order, index: int) -> Adversarial:
    """One batch, by its number: the same bytes on one machine whoever makes it, and when, and how often it stopped."""
    rows = order.rows(index)
    images = torch.from_numpy(order.frames[rows]).float().div_(255.0)
    seed = int(np.random.SeedSequence((order.seed, index)).generate_state(1, np.uint64)[0] >> np.uint64(1))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.from_numpy(order.labels[rows])
    tracks = torch.full_like(labels, -1) if order.tracks is None else torch.from_numpy(order.tracks[rows])
    result = order.attack.craft_along(order.target, images, labels, tracks, generator)
    ball = order.attack.ball
    check(result.images, images, ball)
    # Without a bound, any frame is inside.
    frames = (ball or Ball("linf", 1.0)).frames(result.images, images)
    count = len(images)
    return Adversarial(
        result.images.contiguous().numpy(),
        frames.numpy(),
        result.zero_gradients.int().numpy(),
        result.non_finite_gradients.int().numpy(),
        np.full(count, result.gradients),
        np.full(count, result.queries),
    )


def _joined(parts: list[Adversarial]) -> Adversarial:
    return Adversarial(*(np.concatenate([getattr(part, name) for part in parts]) for name in _NAMES))


_NAMES = tuple(each.name for each in fields(Adversarial))


def _claim(order: Order, work: Path) -> None:
    """Write the order into the work folder, or refuse a folder with another one."""
    path, claim = work / "crafting.json", order.claim()
    # Nothing is lost where an order failed before its first batch.
    if not path.exists() or next(work.glob("*-??????.npz"), None) is None:
        work.mkdir(parents=True, exist_ok=True)
        _replace(path, json.dumps(claim, indent=2).encode())
        return
    with reading(path, "is damaged", "delete its folder, and craft again"):
        found = json.loads(path.read_text(encoding="utf-8"))
        other = [name for name, value in claim.items() if found[name] != value]
    if other:
        raise ValueError(
            f"{work} holds images crafted with another {' and '.join(other)}: craft the same, or name another work "
            "folder"
        )


def _save(part: Adversarial, path: Path) -> None:
    _save_arrays({name: getattr(part, name) for name in _NAMES}, path)


def _save_arrays(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)  # type: ignore[arg-type]
    temporary.replace(path)


def _load(path: Path) -> Adversarial:
    with reading(path, "is damaged", "delete it, and craft again"), np.load(path) as arrays:
        return Adversarial(*(arrays[name] for name in _NAMES))


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
