"""The resumable loop: a phase is a number of steps over some state, saved whole every minute."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from export.training.work_file import reading

CHECKPOINT_EVERY_S = 60.0


class Stateful(Protocol):
    """What a checkpoint can hold: modules and optimisers."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> Any: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """One report of a running phase; `metrics` are running means since the last report."""

    phase: str
    step: int
    steps: int
    seconds: float
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Phase:
    """A named part of a training.

    `step(index)` does one step and returns its metrics.  It must be a function of the index and of `state` alone
    (draw random numbers from `step_generator`), so that a phase that is killed and resumed ends where an
    uninterrupted one does.
    """

    name: str
    steps: int
    state: Mapping[str, Stateful]
    step: Callable[[int], Mapping[str, float]]


def step_generator(seed: int, phase: str, step: int) -> torch.Generator:
    """The random numbers of one step, independent of all steps before it."""
    words = f"{seed}/{phase}/{step}".encode()
    value = 0xCBF29CE484222325  # FNV-1a: `hash` differs from process to process
    for byte in words:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return torch.Generator().manual_seed(value & 0x7FFFFFFFFFFFFFFF)


def run_phase(phase: Phase, folder: Path, report: Callable[[Progress], None], report_every: int = 10) -> None:
    """Run `phase` to its end, from the checkpoint in `folder` if there is one.

    Raises:
        ValueError: the checkpoint is damaged, or belongs to a phase of another length.
    """
    checkpoint = folder / f"{phase.name}.pt"
    start, spent = _load(phase, checkpoint)
    began = saved = time.monotonic()
    totals: dict[str, float] = {}
    counted = 0
    for index in range(start, phase.steps):
        for name, value in phase.step(index).items():
            totals[name] = totals.get(name, 0.0) + value
        counted += 1
        now = time.monotonic()
        if counted == report_every or index + 1 == phase.steps:
            means = {name: total / counted for name, total in totals.items()}
            report(Progress(phase.name, index + 1, phase.steps, spent + now - began, means))
            totals, counted = {}, 0
        if now - saved > CHECKPOINT_EVERY_S or index + 1 == phase.steps:
            _save(phase, checkpoint, index + 1, spent + now - began)
            saved = time.monotonic()


def time_taken(folder: Path, phase: str) -> dict[str, int]:
    """Steps and seconds of a finished phase, as its checkpoint in `folder` says; kills and pauses are not counted."""
    checkpoint = folder / f"{phase}.pt"
    with reading(checkpoint, "is damaged", "delete it to go on from the phase before"):
        # Mapped, since of some 90 MB only two numbers are wanted.
        saved = torch.load(checkpoint, weights_only=True, mmap=True)
        return {"steps": int(saved["step"]), "seconds": round(saved["seconds"])}


def _load(phase: Phase, checkpoint: Path) -> tuple[int, float]:
    if not checkpoint.exists():
        return 0, 0.0
    damage = "is damaged", "delete it to go on from the phase before"
    with reading(checkpoint, *damage):
        saved = torch.load(checkpoint, weights_only=True)
        steps = saved["steps"]
    if steps != phase.steps:
        raise ValueError(
            f"{checkpoint} is from a training of {steps} steps, this one has {phase.steps}; "
            "finish it with its own options, or delete the folder to start again"
        )
    with reading(checkpoint, *damage):
        for name, holder in phase.state.items():
            holder.load_state_dict(saved["state"][name])
        return int(saved["step"]), float(saved["seconds"])


def _save(phase: Phase, checkpoint: Path, step: int, seconds: float) -> None:
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    temporary = checkpoint.with_suffix(".tmp")
    state = {name: holder.state_dict() for name, holder in phase.state.items()}
    with temporary.open("wb") as file:
        torch.save({"step": step, "steps": phase.steps, "seconds": seconds, "state": state}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(checkpoint)
