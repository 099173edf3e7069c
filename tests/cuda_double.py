"""A CUDA device on the processor that does nothing until somebody waits, and writes down what it was asked.

Work is enqueued and runs only when an event is waited for or the stream is synchronised: who reads results too early
reads what was there before, and who overwrites a buffer too early spoils what comes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from edge.backends.cuda.device import DeviceFacts, Pinned
from edge.backends.cuda.graphs import CaptureError

Work = Callable[[], None]


class DoubleError(Exception):
    """What the driver says when something went wrong."""


class DoubleMemoryError(DoubleError):
    """No memory is left."""


def at(address: int, size_bytes: int) -> np.ndarray:
    """Memory (bytes,) uint8 at an address."""
    return np.frombuffer((ctypes.c_ubyte * size_bytes).from_address(address), np.uint8)


@dataclass(eq=False)
class DoubleStream:
    device: DoubleDevice
    # Where what is enqueued goes: into the stream, or into a graph that is being captured.
    into: list[Work] = field(default_factory=list)

    @property
    def handle(self) -> int:
        """Its own address, by which who enqueues by handle finds it again."""
        return id(self)

    def add(self, name: str, work: Work) -> None:
        self.device.log.append(name)
        self.device.check(name)
        self.into.append(work)


class DoubleEvent:
    def __init__(self, device: DoubleDevice) -> None:
        self._device = device
        self.at_ns: int | None = None
        # An event that was recorded twice is passed when the stream comes to the later one.
        self._ahead = 0

    def record(self, stream: DoubleStream) -> None:
        stream.add("record", self._passed)
        self._ahead += 1

    def wait(self) -> None:
        self._device.log.append("wait")
        self._device.check("wait")
        self._device.drain(until=lambda: not self._ahead)

    def since_ns(self, earlier: DoubleEvent) -> int:
        for event in (self, earlier):
            assert event.at_ns is not None, "asked for the time of an event that was never passed"
            assert not event._ahead, "asked for the time of an event that is still ahead"
        return self.at_ns - earlier.at_ns

    def _passed(self) -> None:
        # Every piece of work takes a thousand nanoseconds on this device.
        self.at_ns = self._device.done * 1000
        self._ahead -= 1


class DoubleDevice:
    """`limit_bytes` is what it has; `break_at` names the call that fails from its n-th time on."""

    errors = (DoubleError,)
    out_of_memory = DoubleMemoryError

    def __init__(
        self, *, integrated: bool = False, limit_bytes: int = 1 << 30, break_at: tuple[str, int] | None = None
    ) -> None:
        self.facts = DeviceFacts("Double", "8.7", 12060, integrated)
        self.wait = "spin"
        self.log: list[str] = []
        self.break_at = break_at
        self.closed = False
        self.allocations: list[np.ndarray] = []
        self.done = 0
        self._left = limit_bytes
        self._stream: DoubleStream | None = None
        self._broken = False
        self._seen: dict[str, int] = {}

    def check(self, name: str) -> None:
        """Fail where asked to, and always after that: an error of earlier work sticks to the context."""
        self._seen[name] = self._seen.get(name, 0) + 1
        if self._broken or (self.break_at and self.break_at == (name, self._seen[name])):
            self._broken = True
            raise DoubleError("an illegal memory access was encountered")

    def drain(self, until: Callable[[], bool] = lambda: False) -> None:
        queue = self._stream.into if self._stream else []
        while queue and not until():
            queue.pop(0)()
            self.done += 1

    def allocate(self, size_bytes: int) -> int:
        self.log.append("allocate")
        if size_bytes > self._left:
            raise DoubleMemoryError("out of memory")
        self._left -= size_bytes
        # Filled with what is no number, so that nothing that was not written is mistaken for an answer.
        self.allocations.append(np.full(size_bytes, 0xFF, np.uint8))
        return self.allocations[-1].ctypes.data

    def pinned(self, size_bytes: int, *, mapped: bool) -> Pinned:
        self.log.append("pinned")
        array = np.full(size_bytes, 0xFF, np.uint8)
        return Pinned(array, array.ctypes.data if mapped else None)

    def free_bytes(self) -> int:
        return self._left

    def stream(self) -> DoubleStream:
        assert self._stream is None, "one stream is all a network needs"
        self._stream = DoubleStream(self)
        return self._stream

    def event(self) -> DoubleEvent:
        return DoubleEvent(self)

    def upload(self, target: int, source: np.ndarray, stream: DoubleStream) -> None:
        stream.add("upload", lambda: np.copyto(at(target, source.nbytes), source))

    def download(self, target: np.ndarray, source: int, stream: DoubleStream) -> None:
        stream.add("download", lambda: np.copyto(target, at(source, target.nbytes)))

    def copy(self, target: int, source: int, size_bytes: int, stream: DoubleStream) -> None:
        stream.add("copy", lambda: np.copyto(at(target, size_bytes), at(source, size_bytes)))

    def synchronise(self, stream: DoubleStream) -> None:
        self.log.append("synchronise")
        self.check("synchronise")
        self.drain()

    def close(self) -> None:
        self.closed = True


@dataclass(eq=False)
class DoubleGraph:
    graphs: DoubleGraphs
    work: list[Work]
    conditions: list[int]

    def launch(self, stream: DoubleStream) -> None:
        stream.add("launch", self._run)

    def close(self) -> None:
        self.graphs.open -= 1

    def _run(self) -> None:
        for condition in self.conditions:
            self.graphs.values[condition] = 0
        for each in self.work:
            each()


class DoubleGraphs:
    """Graphs as lists of work; a condition is a number in `values`.  With `refuses` nothing can be captured."""

    errors = (DoubleError,)

    def __init__(self, *, refuses: bool = False, limit: int = 1 << 30) -> None:
        self.refuses, self.limit = refuses, limit
        self.captured = self.open = 0
        self.values: list[int] = []
        self._conditions: list[int] = []

    def capture(self, stream: DoubleStream, work: Work) -> DoubleGraph:
        if self.refuses:
            raise CaptureError("a stage cannot be captured")
        if self.open >= self.limit:
            raise DoubleMemoryError("out of memory")
        outer, stream.into = stream.into, []
        self._conditions = []
        try:
            work()
            graph = DoubleGraph(self, stream.into, self._conditions)
        finally:
            stream.into = outer
        self.captured += 1
        self.open += 1
        return graph

    def condition(self, stream: DoubleStream) -> int:
        self.values.append(0)
        self._conditions.append(len(self.values) - 1)
        return len(self.values) - 1

    @contextmanager
    def when(self, condition: int, stream: DoubleStream) -> Iterator[DoubleStream]:
        body = DoubleStream(stream.device)

        def decide() -> None:
            if self.values[condition]:
                for each in body.into:
                    each()

        stream.add("if", decide)
        yield body

    def launch_kernel(self, name: str, stream: DoubleStream, *arguments: int | float) -> None:
        stream.add(name, lambda: getattr(self, f"_{name}")(*arguments))

    def _draw_gate(self, keep: int, drop: int, probabilities: int, uniforms: int, gate: int, route: int) -> None:
        probability = at(probabilities, 4 * gate + 4).view(np.float32)[gate]
        uniform = at(uniforms, 4 * gate + 4).view(np.float32)[gate]
        is_number = 0.0 <= probability <= 1.0
        kept = bool(uniform < probability)
        at(route, 4 * gate + 4).view(np.int32)[gate] = kept if is_number else -1
        self.values[keep], self.values[drop] = kept, not kept

    def _take_exit(self, index: int, taken: int) -> None:
        at(taken, 4).view(np.int32)[0] = index

    def _decide_exit(self, go_on: int, scores: int, classes: int, threshold: float, index: int, taken: int) -> None:
        found = at(scores, 4 * classes).view(np.float32).astype(np.float64)
        at(taken, 4).view(np.int32)[0] = index
        confidence = 1.0 / np.exp(found - found.max()).sum()
        self.values[go_on] = not confidence >= threshold


class SessionStage:
    """A stage that ONNX Runtime computes on the double's memory: the peer that every route and exit is held against."""

    def __init__(self, session, input_shape: tuple[int, ...], output_shape: tuple[int, ...], name: str) -> None:
        self._session, self.name = session, name
        self._shapes = input_shape, output_shape
        self.input_bytes, self.output_bytes = (4 * int(np.prod(shape)) for shape in self._shapes)
        self.scratch_bytes = 64
        self.scratch: int | None = None

    def lend(self, scratch: int) -> None:
        self.scratch = scratch

    def enqueue(self, stream: DoubleStream, source: int, target: int) -> None:
        assert self.scratch is not None
        assert abs(source - target) >= min(self.input_bytes, self.output_bytes), "a stage cannot work in place"
        stream.add(self.name, lambda: self._compute(source, target))

    def _compute(self, source: int, target: int) -> None:
        features = at(source, self.input_bytes).view(np.float32).reshape(self._shapes[0])
        (found,) = self._session.run(None, {"x": features})
        np.copyto(at(target, self.output_bytes).view(np.float32).reshape(self._shapes[1]), found)


def session_stages(bundle) -> dict[str, SessionStage]:
    """The stages of a bundle."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    stages = {}
    for name, stage in bundle.network.stages.items():
        model = bundle.stage_model(name).SerializeToString()
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        stages[name] = SessionStage(session, stage.input.shape, stage.output.shape, name)
    return stages
