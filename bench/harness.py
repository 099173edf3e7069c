"""The measurement: frames from a source through one network or two, every span of time recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from time import monotonic_ns
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.feed import Arrival, Feed
from bench.live_state import LiveState, LiveTally
from bench.records import Arrivals, RecordsError
from bench.statistics.steady import steady_start
from bench.stopping import Stopping
from bench.timeline import FrameRecord
from devices.sources.base import Frame, SourceError
from edge.backends.base import BackendError
from edge.preprocess import Preprocessor, RegionError, Roi
from edge.runtime import FrameError, Inference, Runtime, Timings

# Of a source without an end: 43 tracks of 30, one of every sign that the built-in stream shows; enough for the 99th
# percentile and its interval.
FRAMES_BY_DEFAULT = 1290
# The full network is asked after the run, so that it disturbs nothing, about as many first inputs as fit in here.
KEPT_INPUTS_BYTES = 64 * 2**20
# Pairs of times tell what early exits save to a percent or so; more would only keep the user waiting.
TIMED_INPUTS = 400
NANOSECONDS_PER_S = 1_000_000_000


# The whole image (None), a part of it, the one that the source marks, or one that is searched for in every image.
Region = Roi | Literal["frame"] | Callable[[NDArray[np.uint8]], Roi] | None
Watch = Callable[[Frame, FrameRecord], None]


class Records(Protocol):
    """Where the rows go."""

    def append(self, record: FrameRecord) -> None: ...


@dataclass(frozen=True, slots=True)
class Contender:
    """A network under measurement; `reference` is the whole of it, or None where it never runs less than the whole.

    `leaves_early` says that it may answer at an exit before its last.
    """

    name: str
    runtime: Runtime
    reference: Runtime | None = None
    leaves_early: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a run ends: after so many frames or seconds, whichever comes first; None is no limit."""

    frames: int | None
    duration_s: float | None
    warm_up_frames: int = 400
    warm_up_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: `error` is why it broke off before its end, `inputs` are those of frames 0, 1, ...

    `arrivals` says what became of the frames that came on their own; None in closed loop.
    """

    frames: int
    interrupted: bool
    error: SourceError | RegionError | RecordsError | BackendError | None
    inputs: Sequence[NDArray[np.float32]]
    arrivals: Arrivals | None = None


def measure(
    contenders: tuple[Contender, ...],
    feed: Feed,
    preprocess: Preprocessor,
    limits: Limits,
    records: Records,
    show: Callable[[LiveState], None],
    stopping: Stopping,
    roi: Region = None,
    *,
    classes: int | None = None,
    watch: Watch | None = None,
    now_ns: Callable[[], int] = monotonic_ns,
) -> Outcome:
    """Measure every contender on every frame, the first of `contenders` being the model.

    All of them see the same input in turn, in an order that alternates from frame to frame (A B, B A, ...), so that
    drift and the state in which one leaves the caches hit all alike.  Warm-up runs the first frame again and again
    until the latency has settled; its rows are marked.  `classes` is how many classes the source's labels are of; None
    leaves the labels out, since they are not those of the networks.  `watch` is shown every frame with the model's
    record, outside all spans.  `now_ns` is the clock of arrivals and spans.

    Raises:
        SourceError, RegionError, RecordsError, BackendError: the first frame cannot be had, used, recorded or computed;
            with a later one the run ends.
    """
    run = _Run(contenders, preprocess, records, show, limits, roi, classes, feed.length, watch, now_ns)
    error: SourceError | RegionError | RecordsError | BackendError | None = None
    interrupted = False
    arrivals: Arrivals | None = None
    try:
        first = feed.first(stopping)
        if first is not None:
            run.warm_up(first, stopping)
            for arrival in feed.arrivals(stopping):
                run.measure(arrival)
                if run.ended():
                    break
                if stopping.requested:
                    interrupted = True
                    break
    except (SourceError, RegionError, RecordsError, BackendError) as reason:
        if run.frames == 0:
            raise
        error = reason
    except KeyboardInterrupt:
        interrupted = True
    finally:
        arrivals = feed.close(run.frames)
    return Outcome(run.frames, interrupted, error, run.inputs, arrivals)


def full_answers(
    contenders: tuple[Contender, ...], inputs: Sequence[NDArray[np.float32]], stopping: Stopping
) -> dict[str, list[int | None]]:
    """For every network with a reference, the class that this gives to each input; fewer where it was stopped."""
    references = {each.name: each.reference for each in contenders if each.reference is not None}
    answers: dict[str, list[int | None]] = {name: [] for name in references}
    try:
        for tensor in inputs:
            if stopping.requested:
                break
            for name, reference in references.items():
                answers[name].append(_answer(reference, tensor))
    except KeyboardInterrupt:
        # A second signal: what was answered so far is whole.
        pass
    return answers


def times_against_full(
    contenders: tuple[Contender, ...], inputs: Sequence[NDArray[np.float32]], stopping: Stopping
) -> dict[str, list[tuple[int, int]]]:
    """For every network that may leave early, nanoseconds of inferences (its own, the full network's), input by input.

    The full network asks no exit: these are the same weights without heads.  Both see an input in turn, in an order
    that alternates, at most `TIMED_INPUTS` times, spread over the inputs; fewer where it was stopped.
    """
    times: dict[str, list[tuple[int, int]]] = {each.name: [] for each in contenders if each.leaves_early}
    chosen = inputs[:: -(-len(inputs) // TIMED_INPUTS)] if times and inputs else ()
    try:
        for number, tensor in enumerate(chosen):
            if stopping.requested:
                break
            for contender in contenders:
                pair = _timed(contender, tensor, full_first=number % 2 == 1)
                if pair is not None:
                    times[contender.name].append(pair)
    except KeyboardInterrupt:
        pass
    return times


def label_of(frame: Frame, classes: int | None) -> int | None:
    """The frame's label, if it is one of so many classes; None where `classes` is.

    Raises:
        SourceError: it is none of them, and would count as a wrong answer.
    """
    if classes is None or frame.label is None:
        return None
    if not 0 <= frame.label < classes:
        raise SourceError(f"label {frame.label} of {frame.name} is none of the {classes} classes")
    return frame.label


class _Run:
    """The state of a measurement: the frames so far, and inputs kept for the full network."""

    def __init__(
        self,
        contenders: tuple[Contender, ...],
        preprocess: Preprocessor,
        records: Records,
        show: Callable[[LiveState], None],
        limits: Limits,
        roi: Region,
        classes: int | None,
        length: int | None,
        watch: Watch | None,
        now_ns: Callable[[], int],
    ) -> None:
        self.frames = 0
        self.inputs: list[NDArray[np.float32]] = []
        self._contenders, self._preprocess, self._records = contenders, preprocess, records
        self._limits, self._roi, self._classes = limits, roi, classes
        self._room_bytes = KEPT_INPUTS_BYTES if any(contender.reference for contender in contenders) else 0
        self._orders = (contenders, contenders[::-1])
        self._watch, self._now_ns = watch, now_ns
        lengths = [each for each in (length, limits.frames) if each is not None]
        self._live = LiveTally(show, min(lengths, default=None), now_ns)

    def warm_up(self, frame: Frame, stopping: Stopping) -> None:
        """Run `frame` until its times have settled."""
        # A detector remembers where the sign was, and counts: of the measured frames alone.
        region, self._roi = self._roi, copy(self._roi)
        until_ns = self._now_ns() + int(self._limits.warm_up_s * NANOSECONDS_PER_S)
        times: list[int] = []
        while len(times) < self._limits.warm_up_frames and self._now_ns() < until_ns and not stopping.requested:
            began_ns = self._now_ns()
            self._through_all(Arrival(frame, None), warm_up=True)
            times.append(self._now_ns() - began_ns)
            if len(times) % 25 == 0 and steady_start(times) < len(times):
                break
        self._roi = region
        # How often warm-up ran is a matter of time; which gates a seeded run draws must not be.
        for contender in self._contenders:
            contender.runtime.restart()
        self._live.begin()

    def measure(self, arrival: Arrival) -> None:
        tensor, model = self._through_all(arrival, warm_up=False)
        if tensor.nbytes <= self._room_bytes:
            self._room_bytes -= tensor.nbytes
            self.inputs.append(tensor)
        self.frames += 1
        self._live.add(model)
        if self._watch is not None:
            self._watch(arrival.frame, model)

    def ended(self) -> bool:
        """Whether a limit has been reached."""
        if self._limits.frames is not None and self.frames >= self._limits.frames:
            return True
        duration_s = self._limits.duration_s
        return duration_s is not None and self._now_ns() - self._live.began_ns >= duration_s * NANOSECONDS_PER_S

    def _input(self, frame: Frame) -> tuple[NDArray[np.float32], int | None]:
        """The network's input, and how long its region was searched for."""
        detect_ns = None
        if self._roi is None or isinstance(self._roi, tuple):
            region = self._roi
        elif self._roi == "frame":
            region = frame.roi
            if region is None:
                raise RegionError(f"{frame.name}: the source marks no region; leave out --roi frame")
        else:
            began_ns = self._now_ns()
            region = self._roi(frame.image)
            detect_ns = self._now_ns() - began_ns
        try:
            return self._preprocess(frame.image if frame.exact is None else frame.exact, region), detect_ns
        except RegionError as error:
            raise RegionError(f"{frame.name}: {error}") from None

    def _through_all(self, arrival: Arrival, *, warm_up: bool) -> tuple[NDArray[np.float32], FrameRecord]:
        """One frame through every contender: its input, and the model's record."""
        frame, capture_ns, arrival_ns, sequence = arrival
        label = label_of(frame, self._classes)
        began_ns = self._now_ns()
        wait_ns = None if arrival_ns is None else began_ns - arrival_ns
        tensor, detect_ns = self._input(frame)
        preprocess_ns = self._now_ns() - began_ns - (detect_ns or 0)
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
                arrival_ns=began_ns if arrival_ns is None else arrival_ns,
                capture_ns=capture_ns,
                preprocess_ns=preprocess_ns,
                policy_ns=timings.policy_ns,
                decision_ns=timings.decision_ns,
                segments_ns=timings.segments_ns,
                inference_ns=timings.inference_ns,
                route=inference.route if inference else "",
                exit=inference.exit if inference else 0,
                plan=inference.plan if inference else "fused",
                label=label,
                predicted=int(inference.scores.argmax()) if inference else None,
                full_predicted=None,
                error=error,
                sequence=sequence,
                wait_ns=wait_ns,
                detect_ns=detect_ns,
                twin=frame.twin,
                pair=frame.pair,
                kernel_ns=timings.device.kernel_ns,
                transfer_ns=timings.device.transfer_ns,
                wasted_stages=timings.device.wasted_stages,
            )
            self._records.append(record)
            if contender is model:
                of_model = record
        return tensor, of_model


_NO_TIMINGS = Timings(0, 0, 0, 0)


def _timed(contender: Contender, tensor: NDArray[np.float32], *, full_first: bool) -> tuple[int, int] | None:
    """Its own nanoseconds and the full network's; None where either gives no answer, or it never leaves early."""
    if contender.reference is None or not contender.leaves_early:
        return None
    runtimes = (contender.runtime, contender.reference)
    try:
        times = [each.infer(tensor).timings.inference_ns for each in (runtimes[::-1] if full_first else runtimes)]
    except FrameError:
        return None
    return (times[1], times[0]) if full_first else (times[0], times[1])


def _answer(reference: Runtime, tensor: NDArray[np.float32]) -> int | None:
    try:
        return int(reference.infer(tensor).scores.argmax())
    except FrameError:
        return None
