"""What was crafted and scored before, so that a stopped evaluation goes on where it was."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.attacks.deployed import answers
from bench.crafting import Adversarial, Batches, Crafting, Order, Report, craft, one_after_another
from bench.robustness.defence import Defence
from export.training.work_file import reading


class OutOfTime(Exception):  # noqa: N818 (it ends the work, and nothing went wrong)
    """The budget is spent; what is finished is kept."""


@dataclass(frozen=True, slots=True)
class Attacked:
    """The classes that a defence answered, (draws, n), for images with labels (n,), as floats and as 8-bit `frames`;
    the images were made as `adversarial` says, or None where they are the clean ones."""

    floats: NDArray[np.int64]
    frames: NDArray[np.int64]
    labels: NDArray[np.int64]
    adversarial: Adversarial | None = None

    @property
    def right(self) -> NDArray[np.float64]:
        """The share of draws in which each image, as floats, was answered rightly, (n,)."""
        return np.asarray((self.floats == self.labels).mean(0))

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


@dataclass
class Kept:
    """Crafts and scores, or reads what lies in `folder` (None: it is all kept in memory, and gone with the process).

    Until `deadline_s` on `clock`; `report` is told after every batch.  With a `draws_seed` the defence's draws repeat,
    for tests: otherwise they come from the operating system's entropy.  Where batches are made is up to `batches`.
    """

    folder: Path | None = None
    report: Report = lambda step: None
    deadline_s: float | None = None
    draws_seed: int | None = None
    clock: Callable[[], float] = time.monotonic
    batches: Batches = one_after_another
    _memory: dict[str, Attacked] = field(default_factory=dict)

    def attacked(self, order: Order, defence: Defence, draws: int) -> Attacked:
        """The images of `order`, frozen, and what `defence` answers to them in fresh draws.

        Raises:
            OutOfTime: the budget was spent first.
            ValueError: see `craft`, or a kept file is damaged.
        """
        name = _digest(order.claim())
        return self._answered(name, defence, draws, order.labels, lambda work: self._crafted(order, work))

    def clean(self, frames: NDArray[np.uint8], labels: NDArray[np.int64], defence: Defence, draws: int) -> Attacked:
        """What `defence` answers to clean 8-bit `frames` (n, 3, h, w) in fresh draws; raises as `attacked`."""
        name = _digest(["clean", hashlib.sha256(np.ascontiguousarray(frames).data).hexdigest(), labels.tolist()])
        return self._answered(name, defence, draws, labels, lambda work: frames)

    def check(self) -> None:
        """Raises OutOfTime once the budget is spent."""
        if self.deadline_s is not None and self.clock() > self.deadline_s:
            raise OutOfTime

    def _crafted(self, order: Order, work: Path | None) -> Adversarial:
        def tell(step: Crafting) -> None:
            self.report(step)
            self.check()

        return craft(order, work, tell, self.batches)

    def _answered(
        self,
        name: str,
        defence: Defence,
        draws: int,
        labels: NDArray[np.int64],
        images: Callable[[Path | None], Adversarial | NDArray[np.uint8]],
    ) -> Attacked:
        asked = _digest([defence.digest, repr(defence.way), repr(defence.output), draws])
        key = f"{name}-{asked}"
        if key in self._memory:
            return self._memory[key]
        self.check()
        work = None if self.folder is None else self.folder / name
        made = images(work)
        adversarial = made if isinstance(made, Adversarial) else None
        path = None if work is None else work / f"answers-{asked}.npz"
        if path is not None and path.exists():
            floats, frames = _load(path)
        else:
            given = (made.images, made.frames) if isinstance(made, Adversarial) else (made, made)
            floats, frames = (self._given(defence, each, draws) for each in given)
            if path is not None:
                _save(path, floats, frames)
        attacked = Attacked(floats, frames, labels, adversarial)
        if work is None:
            self._memory[key] = attacked
        return attacked

    def _given(
        self, defence: Defence, images: NDArray[np.float32] | NDArray[np.uint8], draws: int
    ) -> NDArray[np.int64]:
        pixels = torch.from_numpy(images).float()
        pixels = pixels / 255.0 if images.dtype == np.uint8 else pixels
        found = answers(defence.target, pixels, draws, way=defence.way, output=defence.output, seed=self.draws_seed)
        return np.asarray(found.numpy())


def _digest(claim: object) -> str:
    return hashlib.sha256(json.dumps(claim, sort_keys=True).encode()).hexdigest()[:16]


def _save(path: Path, floats: NDArray[np.int64], frames: NDArray[np.int64]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, floats=floats, frames=frames)
    temporary.replace(path)


def _load(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    with reading(path, "is damaged", "delete it, and run again"), np.load(path) as arrays:
        return arrays["floats"], arrays["frames"]
