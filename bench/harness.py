"""The measurement: frames from a source through one network or two, every span of time recorded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from time import monotonic_ns, perf_counter_ns
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.report.live import LiveState
from bench.statistics.steady import steady_start
from bench.stopping import Stopping
from bench.timeline import FrameRecord
from devices.sources.base import Frame, Source, SourceError
from edge.preprocess import Preprocessor, Roi
from edge.runtime import FrameError, Inference, Runtime, Timings

# The answers of the full network are computed after the run, so that they disturb nothing, on this many frames at most.
CHECKED_FRAMES = 4096
NANOSECONDS_PER_S = 1_000_000_000


class Records(Protocol):
    """Where the rows go."""

    def append(self, record: FrameRecord) -> None: ...


@dataclass(frozen=True, slots=True)
class Contender:
    """A network under measurement; `reference` is the same network with every block kept, or None without gates."""

    name: str
    runtime: Runtime
    reference: Runtime | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a run ends: after so many frames or seconds, whichever comes first; None is no limit."""

    frames: int | None
    duration_s: float | None
    warm_up_frames: int = 400
    warm_up_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    `full_answers` holds, for every network with a reference, the class that the full network gives to frames 0, 1, ...
    `source_error` is why the source broke off before its end.
    """

    frames: int
    interrupted: bool
    source_error: str | None
    full_answers: dict[str, list[int | None]]


def measure(
    contenders: tuple[Contender, ...],
    source: Source,
    preprocess: Preprocessor,
    limits: Limits,
    records: Records,
    show: Callable[[LiveState], None],
    roi: Roi | Literal["frame"] | None = None,
    *,
    labelled: bool = True,
) -> Outcome:
    """Measure every contender on every frame, the first of `contenders` being the model.

    All of them see the same input in turn, in an order that alternates from frame to frame (A B, B A, ...), so that
    drift and the state in which one leaves the caches hit all alike.  Warm-up runs the first frame again and again
    until the latency has settled; its rows are marked.  `labelled` says that the source's labels are the network's
    classes; otherwise they are left out.
    """
    run = _Run(contenders, preprocess, records, show, limits, roi, labelled=labelled, source_length=source.length)
    with Stopping() as stopping:
        error, interrupted = None, False
        try:
            for frame, capture_ns in _captured(source, stopping):
                if run.frames == 0:
                    run.warm_up(frame, stopping)
                run.measure(frame, capture_ns)
                if run.ended():
                    break
                if stopping.requested:
                    interrupted = True
                    break
        except SourceError as reason:
            if run.frames == 0:
                raise
            error = str(reason)
        except KeyboardInterrupt:
            interrupted = True
    return Outcome(run.frames, interrupted, error, {} if interrupted else run.full_answers())


def _captured(source: Source, stopping: Stopping) -> Iterator[tuple[Frame, int]]:
    """Frames and the time that getting each one took."""
    frames = source.frames()
    while True:
        began = perf_counter_ns()
        with stopping.waiting():
            frame = next(frames, None)
        if frame is None:
            return
        yield frame, perf_counter_ns() - began


class _Run:
    """The state of a measurement: counters for the live line, and inputs kept for the full network."""

    def __init__(
        self,
        contenders: tuple[Contender, ...],
        preprocess: Preprocessor,
        records: Records,
        show: Callable[[LiveState], None],
        limits: Limits,
        roi: Roi | Literal["frame"] | None,
        *,
        labelled: bool,
        source_length: int | None,
    ) -> None:
        self.frames = 0
        self._contenders, self._preprocess, self._records = contenders, preprocess, records
        self._show, self._limits, self._roi, self._labelled = show, limits, roi, labelled
        self._inputs: list[NDArray[np.float32]] = []
        self._keeps_inputs = any(contender.reference for contender in contenders)
        self._orders = (contenders, contenders[::-1])
        lengths = [length for length in (source_length, limits.frames) if length is not None]
        self._total = min(lengths, default=None)
        self._show_due_ns = 0
        self._recent_ms: deque[float] = deque(maxlen=101)
        self._kept = self._answered = self._right = self._with_label = 0
        self._began_ns = monotonic_ns()

    def warm_up(self, frame: Frame, stopping: Stopping) -> None:
        """Run `frame` until its times have settled."""
        until_ns = monotonic_ns() + int(self._limits.warm_up_s * NANOSECONDS_PER_S)
        times: list[int] = []
        while len(times) < self._limits.warm_up_frames and monotonic_ns() < until_ns and not stopping.requested:
            began = perf_counter_ns()
            self._through_all(frame, None, warm_up=True)
            times.append(perf_counter_ns() - began)
            if len(times) % 25 == 0 and steady_start(times) < len(times):
                break
        # How often warm-up ran is a matter of time; which gates a seeded run draws must not be.
        for contender in self._contenders:
            contender.runtime.restart()
        self._began_ns = monotonic_ns()

    def measure(self, frame: Frame, capture_ns: int) -> None:
        tensor, model = self._through_all(frame, capture_ns, warm_up=False)
        if self._keeps_inputs and self.frames < CHECKED_FRAMES:
            self._inputs.append(tensor)
        self.frames += 1
        if model.predicted is not None:
            self._answered += 1
            self._kept += model.route.count("1")
            self._recent_ms.append(model.inference_ns / 1e6)
        if model.label is not None:
            self._with_label += 1
            self._right += model.predicted == model.label
        self._show_state(model)

    def ended(self) -> bool:
        """Whether a limit has been reached."""
        if self._limits.frames is not None and self.frames >= self._limits.frames:
            return True
        duration_s = self._limits.duration_s
        return duration_s is not None and monotonic_ns() - self._began_ns >= duration_s * NANOSECONDS_PER_S

    def full_answers(self) -> dict[str, list[int | None]]:
        return {
            contender.name: [_answer(contender.reference, tensor) for tensor in self._inputs]
            for contender in self._contenders
            if contender.reference is not None
        }

    def _through_all(
        self, frame: Frame, capture_ns: int | None, *, warm_up: bool
    ) -> tuple[NDArray[np.float32], FrameRecord]:
        """One frame through every contender: its input, and the model's record."""
        arrival_ns = monotonic_ns()
        began = perf_counter_ns()
        tensor = self._preprocess(frame.image, frame.roi if self._roi == "frame" else self._roi)
        preprocess_ns = perf_counter_ns() - began
        model = self._contenders[0]
        of_model: FrameRecord
        for position, contender in enumerate(self._orders[self.frames % 2]):
            inference: Inference | None = None
            error = None
            try:
                inference = contender.runtime.infer(tensor)
            except FrameError as reason:
                error = str(reason)
            timings = inference.timings if inference else _NO_TIMINGS
            record = FrameRecord(
                frame=self.frames,
                name=frame.name,
                network=contender.name,
                position=position,
                warm_up=warm_up,
                arrival_ns=arrival_ns,
                capture_ns=capture_ns,
                preprocess_ns=preprocess_ns,
                policy_ns=timings.policy_ns,
                decision_ns=timings.decision_ns,
                segments_ns=timings.segments_ns,
                inference_ns=timings.inference_ns,
                route=inference.route if inference else "",
                exit=inference.exit if inference else 0,
                plan=inference.plan if inference else "fused",
                label=frame.label if self._labelled else None,
                predicted=int(inference.scores.argmax()) if inference else None,
                full_predicted=None,
                error=error,
            )
            self._records.append(record)
            if contender is model:
                of_model = record
        return tensor, of_model

    def _show_state(self, last: FrameRecord) -> None:
        # A median of the last frames costs more than the whole harness does: not at every frame.
        if last.arrival_ns < self._show_due_ns or not self._recent_ms:
            return
        self._show_due_ns = last.arrival_ns + _SHOW_EVERY_NS
        state = LiveState(
            frames_done=self.frames,
            frames_total=self._total,
            seconds=(last.arrival_ns - self._began_ns) / NANOSECONDS_PER_S,
            last_ms=self._recent_ms[-1],
            recent_p50_ms=median(self._recent_ms),
            kept_blocks=self._kept / self._answered if self._contenders[0].reference else None,
            accuracy_so_far=self._right / self._with_label if self._with_label else None,
        )
        self._show(state)


_NO_TIMINGS = Timings(0, 0, 0, 0)
_SHOW_EVERY_NS = 100_000_000


def _answer(reference: Runtime, tensor: NDArray[np.float32]) -> int | None:
    try:
        return int(reference.infer(tensor).scores.argmax())
    except FrameError:
        return None
