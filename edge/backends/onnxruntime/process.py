"""What ONNX Runtime decides once for a whole process: how many threads, and one arena for all sessions."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from edge.backends.base import BackendError
from edge.backends.onnxruntime.importing import import_onnxruntime
from edge.cores import usable_cores

# Only errors: writing an optimised graph warns that it fits this machine alone, which is what it is for.
_LOG_ERRORS = 3


class Process:
    """ONNX Runtime as all backends of this process share it.

    Each session would bring a thread pool of its own whose workers spin after a run, and slow down the next session:
    3 to 6 times where sessions alternate.  So there is either no pool (1 thread) or a single one, and as ONNX Runtime
    sets that up before its first session and never again, the first backend's number of threads holds for all.
    """

    def __init__(self) -> None:
        self.ort: Any = None
        self.threads = 0

    def use(self, threads: int) -> None:
        """Import ONNX Runtime and settle on the number of threads.

        Raises:
            BackendError: no ONNX Runtime, or another number of threads was settled on before.
        """
        cores = usable_cores()
        if not 1 <= threads <= cores:
            # Beyond the cores, threads that spin only wait for each other; by the ten thousand they stop the machine.
            raise BackendError(f"onnxruntime was asked for {threads} threads: give 1 to {cores}, the cores it may use")
        if self.ort is None:
            ort = import_onnxruntime()
            if threads > 1:
                ort.set_global_thread_pool_sizes(threads, 1)
            _register_arena(ort)
            self.ort, self.threads = ort, threads
        if self.threads != threads:
            raise BackendError(
                f"onnxruntime already runs with {self.threads} threads in this process and cannot change to "
                f"{threads}: use the same number for every network, or measure in separate runs"
            )

    @property
    def version(self) -> str:
        return str(self.ort.__version__)

    @property
    def builder(self) -> dict[str, str]:
        """What decides how a graph is optimised, beside the graph and the processor."""
        return {"onnxruntime": self.version, "build": str(self.ort.get_build_info())}

    def options(self, optimise: bool) -> Any:
        """Options for a session on the shared threads and arena, which optimises its graph or takes it as it is."""
        options = self.ort.SessionOptions()
        level = self.ort.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
        options.log_severity_level = _LOG_ERRORS
        options.add_session_config_entry("session.use_env_allocators", "1")
        if optimise:
            keep_exact(options)
        # An arena never gives memory back: weights are kept out of it, so that those of a dropped session are freed.
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
        if self.threads == 1:
            options.intra_op_num_threads = 1
        else:
            options.use_per_session_threads = False
        return options

    def session(self, model: bytes, options: Any) -> Any:
        """An InferenceSession on the processor."""
        session = self.ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        # Kept to fall back to other providers, of which there are none: the stages of a ResNet18 would be 45 MB.
        session._model_bytes = None
        return session


def keep_exact(options: Any) -> None:
    """Have int8 sums computed without overflow by a session that optimises its graph."""
    if overflows(_cpuinfo()):
        # Weights become uint8.  ONNX Runtime 1.32 does that on processors with VNNI too, where it takes 3 times as long
        # and is of no use.
        options.add_session_config_entry("session.x64quantprecision", "1")


def overflows(cpuinfo: str) -> bool:
    """Whether int8 kernels go wrong here, given /proc/cpuinfo: x86 without VNNI cuts off sums of uint8 times int8."""
    flags = {flag for line in cpuinfo.splitlines() if line.startswith("flags") for flag in line.split()}
    return "sse2" in flags and not flags & {"avx512_vnni", "avx_vnni"}


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def _register_arena(ort: Any) -> None:
    # Each session's own arena costs 0.6 to 7 MB; with one for all a session of a ResNet18 is 0.1 to 0.3 MB, its graph.
    ort.create_and_register_allocator(
        ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT),
        ort.OrtArenaCfg(0, -1, -1, -1),
    )


@cache
def this_process() -> Process:
    """The one `Process` there is."""
    return Process()
