"""How far a long piece of work has come: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol, TextIO

LINE_EVERY_S = 10.0


class Step(Protocol):
    """Where the work stands: `step` of `steps` of `phase`, `seconds` since the phase began, and running means."""

    @property
    def phase(self) -> str: ...
    @property
    def step(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def metrics(self) -> Mapping[str, float]: ...


@dataclass(frozen=True, slots=True)
class FramesSeen:
    """How many frames of a source have been looked at."""

    step: int
    steps: int
    seconds: float
    phase: str = "frames"
    metrics: Mapping[str, float] = field(default_factory=dict)


def describe(step: Step) -> str:
    """One line: "32px 120/760  loss 0.412  accuracy 0.936  9 min left"."""
    parts = [f"{step.phase} {step.step}/{step.steps}", _metrics(step), _time_left(step)]
    return "  ".join(part for part in parts if part)


@contextmanager
def progress(stream: TextIO | None = None) -> Iterator[Callable[[Step], None]]:
    """Give a function that shows each step it is told: on a terminal as a bar, elsewhere a line every ten seconds."""
    stream = stream or sys.stderr
    if stream.isatty():
        with _bar(stream) as show:
            yield show
    else:
        yield Lines(stream)


class Lines:
    """Prints a step when a phase begins or ends, and otherwise at most one every `every_s` seconds."""

    def __init__(self, stream: TextIO, every_s: float = LINE_EVERY_S, clock: Callable[[], float] = time.monotonic):
        self._stream, self._every_s, self._clock = stream, every_s, clock
        self._phase = ""
        self._printed = 0.0

    def __call__(self, step: Step) -> None:
        now = self._clock()
        if step.phase != self._phase or step.step == step.steps or now - self._printed >= self._every_s:
            # A terminal that is gone must not end a training.
            with suppress(OSError):
                print(describe(step), file=self._stream, flush=True)
            self._phase, self._printed = step.phase, now


@contextmanager
def _bar(stream: TextIO) -> Iterator[Callable[[Step], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"))
    # rich would send what is printed meanwhile to the bar's stream: a document on stdout must stay there.
    with Progress(*columns, console=Console(file=stream), redirect_stdout=False, redirect_stderr=False) as bars:
        tasks: dict[str, TaskID] = {}

        def show(step: Step) -> None:
            if step.phase not in tasks:
                tasks[step.phase] = bars.add_task(step.phase, total=step.steps, state="")
            state = "  ".join(part for part in (f"{step.step}/{step.steps}", _metrics(step), _time_left(step)) if part)
            bars.update(tasks[step.phase], completed=step.step, state=state)

        yield show


def _metrics(step: Step) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in step.metrics.items())


def _time_left(step: Step) -> str:
    if not 0 < step.step < step.steps:
        return ""
    left_s = step.seconds / step.step * (step.steps - step.step)
    return f"{left_s:.0f} s left" if left_s < 90 else f"{left_s / 60:.0f} min left"
