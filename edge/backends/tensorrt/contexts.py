"""Engines as stages of the CUDA layer: an execution context each."""

from __future__ import annotations

from typing import Any

from edge.backends.base import BackendError
from edge.backends.cuda.device import Stream
from edge.backends.tensorrt.engines import Engine
from edge.backends.tensorrt.library import Library


class EngineStage:
    """One engine with its context, through the interface by name that TensorRT has from 8.5 to 11.

    The context is made without device memory of its own: all contexts of a network are lent the same.
    """

    def __init__(self, name: str, engine: Engine, library: Library, runtime: Any) -> None:
        self._name = name
        (source,), (target,) = engine.inputs, engine.outputs
        self._source, self._target = source.name, target.name
        self.input_bytes, self.output_bytes = source.size_bytes, target.size_bytes
        self._engine = runtime.deserialize_cuda_engine(engine.plan)
        if self._engine is None:
            raise BackendError(
                f"{library.name} {library.version} cannot load the engine of {name}: it was built by another version "
                "or for another GPU; remove it from the cache in ~/.cache/edgebench and run again"
            )
        self._check_names(library)
        # From 10 on; before it holds for engines of less than 2 GiB, as ours are.
        size = getattr(self._engine, "device_memory_size_v2", None)
        self.scratch_bytes = int(self._engine.device_memory_size if size is None else size)
        self._context = _context(self._engine, library)
        if self._context is None:
            raise BackendError(f"{library.name} has no memory for a context of {name}: stop other programs")

    def lend(self, scratch: int) -> None:
        set_memory = getattr(self._context, "set_device_memory", None)
        if set_memory is not None:
            set_memory(scratch, self.scratch_bytes)
        else:
            self._context.device_memory = scratch

    def enqueue(self, stream: Stream, source: int, target: int) -> None:
        context = self._context
        context.set_tensor_address(self._source, source)
        context.set_tensor_address(self._target, target)
        if not context.execute_async_v3(stream.handle):
            raise BackendError(f"TensorRT cannot run {self._name}: run again with --debug, and report it")

    def _check_names(self, library: Library) -> None:
        engine = self._engine
        found = {engine.get_tensor_name(index) for index in range(engine.num_io_tensors)}
        if found != {self._source, self._target}:
            raise BackendError(
                f"the engine of {self._name} has the tensors {', '.join(sorted(found))} instead of {self._source} and "
                f"{self._target}: remove it from the cache in ~/.cache/edgebench and run again"
            )


def _context(engine: Any, library: Library) -> Any:
    strategy = getattr(library.module, "ExecutionContextAllocationStrategy", None)
    if strategy is not None:
        return engine.create_execution_context(strategy.USER_MANAGED)
    return engine.create_execution_context_without_device_memory()
