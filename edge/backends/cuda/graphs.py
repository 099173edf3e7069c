"""CUDA graphs: what the layer asks of who makes them, and those that are kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import Protocol

from edge.backends.cuda.device import Stream


class CaptureError(Exception):
    """Something that was enqueued cannot be part of a graph; the device goes on."""


class GraphMemoryError(Exception):
    """There is no memory for another graph."""


class Graph(Protocol):
    """Work that was captured and is started as one."""

    def launch(self, stream: Stream) -> None: ...

    def close(self) -> None:
        """Free it; it must not be running."""


class Graphs(Protocol):
    """Captures graphs: cuda-python does, for pycuda has no such calls."""

    errors: tuple[type[Exception], ...]

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """What `work` enqueues into the stream, as a graph; nothing of it runs yet.

        Raises:
            CaptureError: it cannot be captured.
            GraphMemoryError: there is no memory for it.
        """


class ConditionalGraphs(Graphs, Protocol):
    """Graphs that decide on the device (IF nodes, CUDA 12.4 or later); all but `capture` is called inside of one."""

    def condition(self, stream: Stream) -> int:
        """A new condition, false whenever the graph starts until a kernel sets it; given to kernels as a uint64."""

    def when(self, condition: int, stream: Stream) -> AbstractContextManager[Stream]:
        """A part of the graph that runs if the condition holds: what is enqueued into the stream that this gives."""

    def launch_kernel(self, name: str, stream: Stream, *arguments: int | float) -> None:
        """Enqueue a kernel of decide.cu, given its arguments in their order."""


class KeptGraphs:
    """At most `limit` graphs; the least recently used goes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._graphs: OrderedDict[Hashable, Graph] = OrderedDict()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._graphs)

    def get(self, key: Hashable) -> Graph | None:
        graph = self._graphs.get(key)
        if graph is not None:
            self._graphs.move_to_end(key)
        return graph

    def add(self, key: Hashable, graph: Graph, before_closing: Callable[[], None]) -> None:
        """Keep a graph; `before_closing` is called before another one is dropped for it, as that may still run."""
        self._graphs[key] = graph
        if len(self._graphs) > self._limit:
            before_closing()
        while len(self._graphs) > self._limit:
            self._graphs.popitem(last=False)[1].close()
            self.dropped += 1

    def clear(self) -> None:
        while self._graphs:
            self._graphs.popitem()[1].close()
