"""Frames through a network with every exit asked, and beside it, in turn, through networks that ask none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from bench.exits.table import ExitTable
from edge.controllers.base import Controller
from edge.controllers.threshold import Thresholded
from edge.runtime import FrameError, Runtime

WARM_UP_FRAMES = 30
NANOSECONDS_PER_MS = 1e6


class AskAll(Controller):
    """Asks every exit how sure it is, goes to the end, and keeps what was said and when."""

    def __init__(self, controller: Thresholded) -> None:
        self._measure = controller.measure
        self._sign = -1.0 if controller.falls else 1.0

    def start(self) -> None:
        self._began_ns = perf_counter_ns()
        self.left_ns: list[int] = []
        self.certainty: list[float] = []
        self.scores: list[NDArray[np.float32]] = []

    def wants(self, exit_index: int) -> bool:
        return True

    def at_exit(self, exit_index: int, scores: NDArray[np.float32]) -> bool:
        certainty = self._sign * self._measure(scores)
        self.left_ns.append(perf_counter_ns() - self._began_ns)
        self.certainty.append(certainty)
        self.scores.append(scores)
        return False

    def at_end(self, exit_index: int, scores: NDArray[np.float32]) -> int:
        # The answer of the last exit is taken without asking how sure it is, unless another should answer for it.
        self.left_ns.append(perf_counter_ns() - self._began_ns)
        self.certainty.append(self._sign * self._measure(scores))
        self.scores.append(scores)
        return exit_index


@dataclass(frozen=True, slots=True)
class Beside:
    """A network that asks no exit, on the same frames: whether right (frames,), typical milliseconds."""

    name: str
    right: NDArray[np.bool_]
    typical_ms: float


@dataclass(frozen=True, slots=True)
class Walk:
    """What came of it: the table, the networks beside, and how many frames gave no answer and are left out."""

    table: ExitTable
    beside: tuple[Beside, ...]
    failed: int


@dataclass(frozen=True, slots=True)
class Labelled:
    """A frame as the networks take it, and its class."""

    tensor: NDArray[np.float32]
    label: int


def walk(
    frames: Iterable[Labelled],
    runtime: Runtime,
    asking: AskAll,
    beside: Sequence[tuple[str, Runtime]],
    tell: Callable[[int], None] = lambda done: None,
) -> Walk:
    """Run every frame through all networks, in an order that alternates; `tell` is told how many frames are done.

    `runtime` has `asking` among its controllers.  The first of `beside` is the static counterpart: the same network
    straight to its last exit.

    Raises:
        ValueError: no frame was answered.
    """
    seen = _Seen(asking, len(beside))
    runtimes = [runtime, *(each for _, each in beside)]
    for done, frame in enumerate(frames, 1):
        if done == 1:
            for _ in range(WARM_UP_FRAMES):
                seen.run(frame, runtimes, forwards=True, keep=False)
        seen.run(frame, runtimes, forwards=bool(done % 2), keep=True)
        tell(done)
    return seen.walk([name for name, _ in beside])


class _Seen:
    """The rows so far; a frame that any network gives no answer to is none."""

    def __init__(self, asking: AskAll, beside: int) -> None:
        self._asking = asking
        self._certainty: list[list[float]] = []
        self._right: list[list[bool]] = []
        self._left_ns: list[list[int]] = []
        self._beside_right: list[list[bool]] = []
        self._beside_ns: list[list[int]] = []
        self._failed = 0

    def run(self, frame: Labelled, runtimes: Sequence[Runtime], *, forwards: bool, keep: bool) -> None:
        order = range(len(runtimes)) if forwards else reversed(range(len(runtimes)))
        try:
            results = {index: runtimes[index].infer(frame.tensor) for index in order}
        except FrameError:
            self._failed += keep
            return
        if not keep:
            return
        asking = self._asking
        self._certainty.append(asking.certainty)
        self._right.append([int(scores.argmax()) == frame.label for scores in asking.scores])
        self._left_ns.append(asking.left_ns)
        others = [results[index] for index in range(1, len(runtimes))]
        self._beside_right.append([int(result.scores.argmax()) == frame.label for result in others])
        self._beside_ns.append([result.timings.inference_ns for result in others])

    def walk(self, names: Sequence[str]) -> Walk:
        if not self._certainty:
            raise ValueError("no frame was answered, so that there is nothing to choose thresholds from")
        # Medians: what takes the processor away for a moment has nothing to do with where a frame leaves.
        cost_ms = np.median(self._left_ns, axis=0) / NANOSECONDS_PER_MS
        right, beside_ms = np.array(self._beside_right), np.median(self._beside_ns, axis=0) / NANOSECONDS_PER_MS
        found = ExitTable(np.array(self._certainty), np.array(self._right), cost_ms, float(beside_ms[0]))
        beside = tuple(Beside(name, right[:, index], float(beside_ms[index])) for index, name in enumerate(names))
        return Walk(found, beside, self._failed)
