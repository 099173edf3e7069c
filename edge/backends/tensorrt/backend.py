"""The TensorRT backend: engines per stage, a CUDA graph per route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge.backends.cuda.backend import OpenedCuda
from edge.backends.cuda.opening import open_network
from edge.backends.cuda.options import CudaOptions
from edge.backends.cuda.pycuda_device import open_device
from edge.backends.cuda.stages import CudaStage
from edge.backends.models import StageModels
from edge.backends.tensorrt.contexts import EngineStage
from edge.backends.tensorrt.engines import PRECISIONS, Engines, Precision
from edge.backends.tensorrt.library import Library, find_library
from edge.backends.tensorrt.obtain import Request, obtain
from edge.backends.tensorrt.targets import read_machine
from edge.network import Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRT(CudaOptions):
    """Runs on an NVIDIA GPU with TensorRT; engines are built when a network first runs here, and kept."""

    precision: Precision = field(default="fp16", metadata={"help": "fp32, fp16 or int8", "example": "precision=int8"})
    cache: bool = field(
        default=True,
        metadata={"help": "keep engines for the next start, in ~/.cache/edgebench", "example": "cache=false"},
    )

    def __post_init__(self) -> None:
        # Not super(): a class with slots is another one than that which this was defined in.
        CudaOptions.__post_init__(self)
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision={self.precision!r} is unknown: {', '.join(PRECISIONS)}, for example precision=fp16"
            )

    def open(self, models: StageModels, threads: int) -> OpenedCuda:
        """The backend of one network; `threads` says nothing here.

        Raises:
            BackendError: TensorRT, pycuda, a driver, a GPU or its memory is missing, or TensorRT refuses the network.
        """
        machine = read_machine()
        library = find_library(machine)
        engines = obtain(models, Request(self.precision, cache=self.cache), machine=machine, library=library).engines
        device = open_device(self.wait)
        try:
            runtime = library.module.Runtime(library.module.Logger(library.module.Logger.ERROR))
            stages = engine_stages(engines, library, runtime)
        except BaseException:
            device.close()
            raise

        def fuse(segment: Segment) -> CudaStage:
            request = Request(self.precision, segments=[segment], cache=self.cache)
            engine = obtain(models, request, machine=machine, library=library).engines.segments[segment]
            return EngineStage("+".join(segment.stages), engine, library, runtime)

        return open_network(models.network, stages, device, self, _identity(engines), fuse=fuse)


def engine_stages(engines: Engines, library: Library, runtime: Any) -> Mapping[str, CudaStage]:
    """A stage for every engine; `runtime` is TensorRT's."""
    return {name: EngineStage(name, engine, library, runtime) for name, engine in engines.stages.items()}


def _identity(engines: Engines) -> dict[str, str]:
    return {
        "name": engines.library,
        "version": engines.version,
        "precision": engines.precision,
        "target": engines.target,
    }
