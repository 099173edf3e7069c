"""What was crafted and scored before, so that a stopped evaluation goes on where it was."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.attacks.deployed import answers
from bench.crafting import Adversarial, Batches, Crafting, Order, Report, craft, one_after_another
from bench.robustness.defence import Defence
from export.training.work_file import reading

SCORING = "scoring"
# Few enough that the budget is looked at every few seconds.
_SCORED_TOGETHER = 64

Number = TypeVar("Number", np.float64, np.int64)


class OutOfTime(Exception):  # noqa: N818 (it ends the work, and nothing went wrong)
    """The budget is spent; what is finished is kept."""


# Images as they were crafted, or the 8-bit frames that a camera would deliver.
Delivery: TypeAlias = Literal["floats", "frames"]
Figures: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Attacked:
    """The classes that a defence answered, (draws, n), to images with labels (n,), which were made as `adversarial`
    says, or None where they are the clean ones."""

    answers: NDArray[np.int64]
    labels: NDArray[np.int64]
    adversarial: Adversarial | None = None

    @property
    def right(self) -> NDArray[np.float64]:
        """The share of draws in which each image was answered rightly, (n,)."""
        return np.asarray((self.answers == self.labels).mean(0))

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
    _made: dict[str, Adversarial] = field(default_factory=dict)
    _arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    def until(self, deadline_s: float | None) -> Kept:
        """The same with another end, sharing what is kept."""
        return replace(self, deadline_s=deadline_s)

    def made(self, order: Order) -> Adversarial:
        """The images of `order`, frozen.

        Raises:
            OutOfTime: the budget was spent first.
            ValueError: see `craft`, or a kept file is damaged.
        """
        name = _digest(order.claim())
        if name in self._made:
            return self._made[name]
        self.check()

        def tell(step: Crafting) -> None:
            self.report(step)
            self.check()

        made = craft(order, None if self.folder is None else self.folder / name, tell, self.batches)
        if self.folder is None:
            self._made[name] = made
        return made

    def attacked(self, order: Order, defence: Defence, draws: int, delivered: Delivery = "floats") -> Attacked:
        """What `defence` answers to the images of `order` in fresh draws; raises as `made`."""
        made = self.made(order)
        images = made.images if delivered == "floats" else made.frames
        found = self._answered(_digest(order.claim()), order.spec, images, defence, draws, delivered)
        return Attacked(found, order.labels, made)

    def clean(self, frames: NDArray[np.uint8], labels: NDArray[np.int64], defence: Defence, draws: int) -> Attacked:
        """What `defence` answers to 8-bit `frames` (n, 3, h, w) as they are, in fresh draws; raises as `made`."""
        name = _digest(["clean", hashlib.sha256(np.ascontiguousarray(frames).data).hexdigest(), labels.tolist()])
        return Attacked(self._answered(name, "clean frames", frames, defence, draws, "frames"), labels)

    def remembered(self, claim: object, compute: Callable[[], Figures]) -> Figures:
        """What `compute` gave when it was first asked under this `claim`, which names all that decides it.

        Raises:
            OutOfTime: it was not asked before, and the budget is spent.
            ValueError: a kept file is damaged.
        """
        name = _digest(claim)
        return self._once(name, f"{name}.npz", compute)

    def check(self) -> None:
        """Raises OutOfTime once the budget is spent."""
        if self.deadline_s is not None and self.clock() > self.deadline_s:
            raise OutOfTime

    def _answered(
        self,
        name: str,
        spec: str,
        images: NDArray[np.float32] | NDArray[np.uint8],
        defence: Defence,
        draws: int,
        delivered: Delivery,
    ) -> NDArray[np.int64]:
        asked = _digest([defence.digest, repr(defence.way), repr(defence.output), draws])
        began = time.monotonic()

        def tell(done: int) -> None:
            # What is done in one go has no progress to show.
            if len(images) > _SCORED_TOGETHER:
                self.report(Crafting(done, len(images), time.monotonic() - began, f"{SCORING} {spec}"))
            if done < len(images):
                self.check()

        def answered() -> NDArray[np.int64]:
            pixels = torch.from_numpy(images).float()
            pixels = pixels / 255.0 if images.dtype == np.uint8 else pixels
            found = answers(
                defence.target,
                pixels,
                draws,
                way=defence.way,
                output=defence.output,
                seed=self.draws_seed,
                batch=_SCORED_TOGETHER,
                tell=tell,
            )
            return np.asarray(found.numpy())

        return self._once(f"{name}-{asked}-{delivered}", f"{name}/answers-{delivered}-{asked}.npz", answered)

    def _once(self, name: str, file: str, compute: Callable[[], NDArray[Number]]) -> NDArray[Number]:
        """From memory or from the file, or computed and kept there."""
        if self.folder is None:
            if name not in self._arrays:
                self.check()
                self._arrays[name] = compute()
            return self._arrays[name]
        path = self.folder / file
        if path.exists():
            with reading(path, "is damaged", "delete it, and run again"), np.load(path) as arrays:
                kept: NDArray[Number] = arrays["kept"]
                return kept
        self.check()
        found = compute()
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, kept=found)
        temporary.replace(path)
        return found


def _digest(claim: object) -> str:
    return hashlib.sha256(json.dumps(claim, sort_keys=True).encode()).hexdigest()[:16]
