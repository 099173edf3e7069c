"""Graphs and their IF nodes through NVIDIA's cuda-python, which alone has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import c_float, c_int, c_uint64, c_void_p
from pathlib import Path
from typing import Any

from edge.backends.cuda.device import Device, Stream
from edge.backends.cuda.graphs import CaptureError, ConditionalGraphs, Graph, GraphMemoryError

WITHOUT = "none: cuda-python is not installed (pip install cuda-python)"

_KERNELS = Path(__file__).with_name("decide.cu")
_POINTER = c_void_p
_PARAMETERS: dict[str, tuple[Any, ...]] = {
    "draw_gate": (c_uint64, c_uint64, _POINTER, _POINTER, c_int, _POINTER),
    "decide_exit": (c_uint64, _POINTER, c_int, c_float, c_int, _POINTER),
    "take_exit": (c_int, _POINTER),
}
_LANES = 32


class BindingsError(Exception):
    """A call of the driver or of NVRTC failed: its name, and the error's."""


def open_graphs(device: Device) -> ConditionalGraphs | None:
    """Graphs on a device, or None where cuda-python is not installed."""
    try:
        from cuda.bindings import driver
    except ImportError:
        return None
    return BindingsGraphs(driver, device)


class BindingsGraphs:
    """Captures what is enqueued into pycuda's streams, which cuda-python knows by their handles."""

    errors: tuple[type[Exception], ...] = (BindingsError,)

    def __init__(self, driver: Any, device: Device) -> None:
        self._driver, self._device = driver, device
        self._kernels: dict[str, Any] | None = None

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        driver = self._driver
        # Who computes a stage may take memory on the way, which stays its own.
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED
        self._call("cuStreamBeginCapture", stream.handle, mode)
        try:
            work()
        except Exception as error:
            # Ends the capture whatever it says: it was broken off.
            driver.cuStreamEndCapture(stream.handle)
            raise CaptureError(f"none: capturing failed ({_first_line(error)})") from error
        status, graph = driver.cuStreamEndCapture(stream.handle)
        if status:
            raise CaptureError(f"none: capturing failed ({status.name})")
        status, executable = driver.cuGraphInstantiate(graph, 0)
        self._call("cuGraphDestroy", graph)
        if status == driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
            raise GraphMemoryError
        self._check("cuGraphInstantiate", status)
        return BindingsGraph(self, executable)

    def condition(self, stream: Stream) -> int:
        graph, _ = self._captured(stream)
        (context,) = self._call("cuCtxGetCurrent")
        # 1: the value that it starts with is assigned at every launch.
        (condition,) = self._call("cuGraphConditionalHandleCreate", graph, context, 0, 1)
        return int(condition)

    @contextmanager
    def when(self, condition: int, stream: Stream) -> Iterator[Stream]:
        driver = self._driver
        graph, before = self._captured(stream)
        parameters = driver.CUgraphNodeParams()
        parameters.type = driver.CUgraphNodeType.CU_GRAPH_NODE_TYPE_CONDITIONAL
        of_node = parameters.conditional
        of_node.handle = driver.CUgraphConditionalHandle(condition)
        of_node.type = driver.CUgraphConditionalNodeType.CU_GRAPH_COND_TYPE_IF
        of_node.size = 1
        (of_node.ctx,) = self._call("cuCtxGetCurrent")
        (node,) = self._call(self._newest("cuGraphAddNode"), graph, before, None, len(before), parameters)
        body = parameters.conditional.phGraph_out[0]
        inside = self._device.stream()
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED
        self._call("cuStreamBeginCaptureToGraph", inside.handle, body, None, None, 0, mode)
        try:
            yield inside
        finally:
            driver.cuStreamEndCapture(inside.handle)
        # 1: what comes next waits for the node alone.
        self._call(self._newest("cuStreamUpdateCaptureDependencies"), stream.handle, [node], None, 1, 1)

    def launch_kernel(self, name: str, stream: Stream, *arguments: int | float) -> None:
        if self._kernels is None:
            self._kernels = self._compiled()
        kernel = self._kernels[name]
        self._call("cuLaunchKernel", kernel, 1, 1, 1, _LANES, 1, 1, 0, stream.handle, (arguments, _PARAMETERS[name]), 0)

    def _captured(self, stream: Stream) -> tuple[Any, list[Any]]:
        """The graph that a stream is captured into, and the nodes that come right before what is next."""
        found = self._call(self._newest("cuStreamGetCaptureInfo", "_v3"), stream.handle)
        return found[2], list(found[3] or ())

    def _compiled(self) -> dict[str, Any]:
        (module,) = self._call("cuModuleLoadData", self._code())
        return {name: self._call("cuModuleGetFunction", module, name.encode())[0] for name in _PARAMETERS}

    def _code(self) -> bytes:
        """The kernels in PTX, for this device."""
        from cuda.bindings import nvrtc

        def call(name: str, *arguments: Any) -> tuple[Any, ...]:
            status, *results = getattr(nvrtc, name)(*arguments)
            if status:
                raise BindingsError(f"{name}: {status.name}")
            return tuple(results)

        (program,) = call("nvrtcCreateProgram", _KERNELS.read_bytes(), b"decide.cu", 0, None, None)
        architecture = f"--gpu-architecture=compute_{self._device.facts.capability.replace('.', '')}"
        call("nvrtcCompileProgram", program, 1, [architecture.encode()])
        (size,) = call("nvrtcGetPTXSize", program)
        code = b" " * size
        call("nvrtcGetPTX", program, code)
        return bytes(code)

    def _newest(self, name: str, suffix: str = "_v2") -> str:
        """The form of a call that takes data of edges: CUDA 13 has it under the plain name, 12 under another."""
        return name + suffix if hasattr(self._driver, name + suffix) else name

    def _call(self, name: str, *arguments: Any) -> tuple[Any, ...]:
        status, *results = getattr(self._driver, name)(*arguments)
        self._check(name, status)
        return tuple(results)

    def _check(self, name: str, status: Any) -> None:
        if status:
            raise BindingsError(f"{name}: {status.name}")


class BindingsGraph:
    def __init__(self, graphs: BindingsGraphs, executable: Any) -> None:
        self._graphs, self._executable = graphs, executable
        self._launch = graphs._driver.cuGraphLaunch

    def launch(self, stream: Stream) -> None:
        (status,) = self._launch(self._executable, stream.handle)
        if status:
            raise BindingsError(f"cuGraphLaunch: {status.name}")

    def close(self) -> None:
        self._graphs._call("cuGraphExecDestroy", self._executable)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
