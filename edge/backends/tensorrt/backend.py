"""The TensorRT backend: engines per stage, a CUDA graph per route."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from edge.backends.base import BackendError
from edge.backends.cuda.backend import OpenedCuda
from edge.backends.cuda.device import Device
from edge.backends.cuda.opening import open_network
from edge.backends.cuda.options import CudaOptions
from edge.backends.cuda.pycuda_device import open_device
from edge.backends.cuda.stages import CudaStage
from edge.backends.models import StageModels
from edge.backends.tensorrt.contexts import EngineLoader, EngineRefusedError
from edge.backends.tensorrt.engines import PRECISIONS, Engines, Precision
from edge.backends.tensorrt.library import Library, find_library
from edge.backends.tensorrt.obtain import Request, obtain
from edge.backends.tensorrt.targets import Machine, read_machine
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
        if machine.device is None:
            raise BackendError(
                "no GPU that CUDA can use was found here: install NVIDIA's driver (on a Jetson look at dmesg), or "
                "choose --backend onnxruntime"
            )
        library = find_library(machine)
        device = open_device(self.wait)
        try:
            return self._on(device, models, machine, library)
        except BaseException:
            device.close()
            raise

    def _on(self, device: Device, models: StageModels, machine: Machine, library: Library) -> OpenedCuda:
        request = Request(self.precision, cache=self.cache)
        loader = EngineLoader(library)
        obtained = obtain(models, request, machine=machine, library=library)
        remarks = [*obtained.notes]
        try:
            stages = loader.stages(obtained.engines)
        except EngineRefusedError as error:
            if obtained.built == len(obtained.engines.stages):
                raise
            remarks.append(f"all engines are built anew: {error}")
            obtained = obtain(models, replace(request, rebuild=True), machine=machine, library=library)
            stages = loader.stages(obtained.engines)
        if obtained.unkept is not None:
            remarks.append(f"the engines cannot be kept for the next start ({obtained.unkept})")

        def fuse(segment: Segment) -> CudaStage:
            wanted = obtain(models, replace(request, segments=[segment]), machine=machine, library=library)
            return loader.stage("+".join(segment.stages), wanted.engines.segments[segment])

        identity = _identity(obtained.engines)
        return open_network(models.network, stages, device, self, identity, fuse=fuse, remarks=remarks)


def _identity(engines: Engines) -> dict[str, str]:
    return {
        "name": engines.library,
        "version": engines.version,
        "precision": engines.precision,
        "target": engines.target,
    }
