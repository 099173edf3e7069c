"""The ONNX Runtime backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.backends.base import BackendError, Executable
from edge.backends.models import StageModels
from edge.backends.onnxruntime.chain import ChainCompiler
from edge.backends.onnxruntime.fused import FusedCompiler
from edge.backends.onnxruntime.process import Process, this_process
from edge.backends.onnxruntime.verify import difference
from edge.network import Network, Segment

if TYPE_CHECKING:
    import onnx

_PLANS = ("fused", "staged")


@dataclass(frozen=True, slots=True)
class OnnxRuntime:
    """Runs on the processor.

    With the plan "fused" each segment is one session, as fast as a static network; it is checked against "staged", one
    session per stage, before it is used, and gives way to it where it cannot be built or differs.
    """

    plan: str = field(
        default="fused",
        metadata={"help": "fused (one graph per segment) or staged (stage by stage)", "example": "plan=staged"},
    )

    def __post_init__(self) -> None:
        if self.plan not in _PLANS:
            raise ValueError(f"plan={self.plan!r} is unknown: fused or staged, for example onnxruntime:plan=staged")

    def open(self, models: StageModels, threads: int) -> OpenedOnnxRuntime:
        """The backend of one network.

        Args:
            models: the network and its stages.
            threads: 1 or more; the same for all networks of a process.

        Raises:
            BackendError: ONNX Runtime is missing, runs with another number of threads, or refuses the network.
        """
        process = this_process()
        process.use(threads)
        stages = {stage: models.stage_model(stage) for stage in models.network.stages}
        try:
            chain = ChainCompiler(process, stages)
        except Exception as error:
            raise BackendError(f"onnxruntime {process.version} cannot run this network: {_sentence(error)}") from error
        if self.plan == "staged":
            return OpenedOnnxRuntime(process, chain, "asked for")
        compiler, why = _fused_or(chain, process, models.network, stages)
        return OpenedOnnxRuntime(process, compiler, why)


def _fused_or(
    chain: ChainCompiler, process: Process, network: Network, stages: Mapping[str, onnx.ModelProto]
) -> tuple[FusedCompiler | ChainCompiler, str]:
    """The fused compiler if it can be built and gives the chain's scores, else the chain; and why."""
    # Whatever goes wrong here, of the many errors of onnx and ONNX Runtime, there is a plan that works.
    try:
        fused = FusedCompiler(process, network, stages)
        found = difference(network, fused.compile, chain.compile)
    except Exception as error:
        return chain, f"fusing failed: {_sentence(error)}"
    return (chain, found) if found else (fused, "verified against the plain chain")


def _sentence(error: Exception) -> str:
    """The first line of what ONNX Runtime or onnx said: some of their messages are pages long."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class OpenedOnnxRuntime:
    """ONNX Runtime with one network."""

    def __init__(self, process: Process, compiler: FusedCompiler | ChainCompiler, why: str) -> None:
        self._process = process
        self._compiler: FusedCompiler | ChainCompiler | None = compiler
        self._plan, self._why = compiler.plan, why

    def compile(self, segment: Segment) -> Executable:
        """An executable for the segment, about 1 ms when fused.

        Its features are its own buffer: they last until it runs again.
        """
        if self._compiler is None:
            raise BackendError("this backend was closed: open the network again")
        try:
            return self._compiler.compile(segment)
        except Exception as error:
            chain = ", ".join((*segment.stages, segment.head))
            raise BackendError(f"onnxruntime cannot build the segment {chain}: {_sentence(error)}") from error

    def describe(self) -> dict[str, str]:
        """Name, version, plan and why, threads."""
        return {
            "name": "onnxruntime",
            "version": self._process.version,
            "plan": self._plan,
            "why": self._why,
            "threads": str(self._process.threads),
        }

    def close(self) -> None:
        """Forget the network; executables that are still held keep their own weights."""
        self._compiler = None
