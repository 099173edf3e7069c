"""Engines as stages of the CUDA layer: an execution context each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge.backends.base import BackendError
from edge.backends.cuda.device import Stream
from edge.backends.tensorrt.engines import Engine, Engines
from edge.backends.tensorrt.library import Library, is_about_memory, listener


class EngineRefusedError(BackendError):
    """TensorRT does not load an engine although it was built for this version and GPU, by all that can be compared."""


class EngineLoader:
    """TensorRT's own runtime, which makes stages of engines, and what it says of those that it refuses."""

    def __init__(self, library: Library) -> None:
        trt = library.module
        self.library = library
        self._heard: list[str] = []
        self._logger = listener(trt, self._heard)
        self._runtime = trt.Runtime(self._logger)

    def stage(self, name: str, engine: Engine) -> EngineStage:
        """The engine of a part as a stage.

        Raises:
            EngineRefusedError: it cannot be loaded; another one that is built now may be.
            BackendError: there is no memory for it.
        """
        library = self.library
        self._heard.clear()
        loaded = self._runtime.deserialize_cuda_engine(engine.plan)
        if loaded is None and not any(map(is_about_memory, self._heard)):
            raise EngineRefusedError(f"{library.name} {library.version} cannot load the engine of {name}{self.words()}")
        context = None if loaded is None else _context(loaded, library)
        if context is None:
            raise BackendError(
                f"{library.name} has no memory for {name}{self.words()}: stop other programs, or choose a smaller "
                "model or precision=fp16"
            )
        return EngineStage(name, engine, loaded, context, self)

    def stages(self, engines: Engines) -> Mapping[str, EngineStage]:
        """A stage for every stage's engine; raises what `stage` raises."""
        return {name: self.stage(name, engine) for name, engine in engines.stages.items()}

    def words(self) -> str:
        """What TensorRT said last, in brackets."""
        return f" ({self._heard[-1]})" if self._heard else ""


class EngineStage:
    """One engine with its context, through the interface by name that TensorRT has from 8.5 to 11.

    The context is made without device memory of its own: all contexts of a network are lent the same.
    """

    def __init__(self, name: str, stated: Engine, engine: Any, context: Any, loader: EngineLoader) -> None:
        (source,), (target,) = stated.inputs, stated.outputs
        self._name, self._source, self._target = name, source.name, target.name
        self.input_bytes, self.output_bytes = source.size_bytes, target.size_bytes
        found = {engine.get_tensor_name(index) for index in range(engine.num_io_tensors)}
        if found != {self._source, self._target}:
            raise EngineRefusedError(
                f"the engine of {name} has the tensors {', '.join(sorted(found))} instead of {self._source} and "
                f"{self._target}"
            )
        # From 10 on; before it holds for engines of less than 2 GiB, as ours are.
        size = getattr(engine, "device_memory_size_v2", None)
        self.scratch_bytes = int(engine.device_memory_size if size is None else size)
        self._engine, self._context, self._loader = engine, context, loader

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
            raise BackendError(
                f"TensorRT cannot run {self._name}{self._loader.words()}: look at the kernel's log (dmesg), and run "
                "again"
            )


def _context(engine: Any, library: Library) -> Any:
    strategy = getattr(library.module, "ExecutionContextAllocationStrategy", None)
    if strategy is not None:
        return engine.create_execution_context(strategy.USER_MANAGED)
    return engine.create_execution_context_without_device_memory()
