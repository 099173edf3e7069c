"""The ONNX Runtime backend."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.backends.activations import RangeError
from edge.backends.base import BackendError, Executable
from edge.backends.models import StageModels
from edge.backends.onnxruntime.cache import Cache, Remembered, cache_of
from edge.backends.onnxruntime.chain import ChainCompiler
from edge.backends.onnxruntime.fused import FusedCompiler, optimised_pieces
from edge.backends.onnxruntime.process import Process, this_process
from edge.backends.onnxruntime.providers import NAMES, Provider, ProviderCompiler, check_provider
from edge.backends.onnxruntime.quantise import quantised
from edge.backends.onnxruntime.verify import difference, difference_from_sample, sample, sample_of
from edge.network import Network, Segment

if TYPE_CHECKING:
    import onnx

_PLANS = ("fused", "staged")
_PRECISIONS = ("fp32", "int8")
_VERIFIED = "verified against the plain chain"


@dataclass(frozen=True, slots=True)
class OnnxRuntime:
    """Runs on the processor, or with `onnxruntime:cuda` and the like on a GPU.

    With the plan "fused" each segment is one session (or two to five where there are many routes, see `spans`), as fast
    as a static network; it is checked against "staged", one
    session per stage, before it is used, and gives way to it where it cannot be built or differs.
    """

    provider: Provider = field(
        default="cpu",
        metadata={"help": "cpu, or on a GPU cuda, tensorrt or nv_tensorrt_rtx", "example": "onnxruntime:cuda"},
    )

    plan: str = field(
        default="fused",
        metadata={"help": "fused (one graph per segment) or staged (stage by stage)", "example": "plan=staged"},
    )

    precision: str = field(
        default="fp32",
        metadata={"help": "fp32 or int8, for bundles that state ranges for it", "example": "precision=int8"},
    )

    cache: bool = field(
        default=True,
        metadata={
            "help": "keep the optimised network for the next start, in ~/.cache/edgebench",
            "example": "cache=false",
        },
    )

    def __post_init__(self) -> None:
        if self.plan not in _PLANS:
            raise ValueError(f"plan={self.plan!r} is unknown: fused or staged, for example onnxruntime:plan=staged")
        if self.provider not in NAMES:
            raise ValueError(f"provider={self.provider!r} is unknown: {', '.join(NAMES)}, for example onnxruntime:cuda")
        if self.provider != "cpu" and self.plan != "fused":
            raise ValueError(f"provider={self.provider} takes each segment whole: leave out plan={self.plan}")
        if self.precision not in _PRECISIONS:
            raise ValueError(
                f"precision={self.precision!r} is unknown: fp32 or int8, for example onnxruntime:precision=int8"
            )

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
        if self.provider != "cpu":
            # Before anything is read: most often it is this that is missing.
            check_provider(process, self.provider)
            on_device = ProviderCompiler(process, models.network, _stages(models, self.precision), self.provider)
            return OpenedOnnxRuntime(process, on_device, self.precision, "asked for", "not used", self.provider)
        if self.plan == "staged":
            chain = _chain(process, _stages(models, self.precision))
            return OpenedOnnxRuntime(process, chain, self.precision, "asked for", "not used")
        described = {**process.builder, "precision": self.precision}
        cache = cache_of(models.digest, described) if self.cache else None
        fused = cache and _remembered(process, models.network, cache, self.precision)
        if fused:
            return OpenedOnnxRuntime(process, fused, self.precision, _VERIFIED, "loaded")
        return _optimised(process, models, cache, self.precision)


def _remembered(process: Process, network: Network, cache: Cache, precision: str) -> FusedCompiler | None:
    """The fused compiler from the cache, if there is one and it still gives the plain chain's scores."""
    loaded = cache.load(process.ort)
    if loaded is None:
        return None
    remembered, reading = loaded.remembered, loaded.reading
    fused = FusedCompiler(process, network, remembered.pieces, precision)
    # On whatever goes wrong the network is optimised again.
    try:
        # Sessions that pack their weights read them; the others are made while weights come in.
        if fused.packs and not reading.sound():
            return None
        chains = sample_of(network, fused.compile)
        if not reading.sound() or difference_from_sample(network, chains, remembered.scores):
            return None
        return fused
    except Exception:
        return None


def _optimised(process: Process, models: StageModels, cache: Cache | None, precision: str) -> OpenedOnnxRuntime:
    """The fused compiler if it can be built and gives the plain chain's scores, else the chain."""
    network, stages = models.network, _stages(models, precision)
    # Whatever goes wrong here, of the many errors of onnx and ONNX Runtime, there is a plan that works.  It is made
    # beside: both spend their time in ONNX Runtime, and no frame is waiting for the other cores yet.
    with ThreadPoolExecutor(1) as beside:
        making_chain = beside.submit(_chain, process, stages)
        fused, failure = None, ""
        try:
            fused = FusedCompiler(process, network, optimised_pieces(process, network, stages), precision)
        except Exception as error:
            failure = _failed(error)
        chain = making_chain.result()
    if fused is None:
        return OpenedOnnxRuntime(process, chain, precision, failure, "not used")
    try:
        found = difference(network, fused.compile, chain.compile)
    except Exception as error:
        found = _failed(error)
    if found:
        return OpenedOnnxRuntime(process, chain, precision, found, "not used")
    stored = _stored(cache, Remembered(fused.pieces, sample(network, chain.compile))) if cache else "not used"
    return OpenedOnnxRuntime(process, fused, precision, _VERIFIED, stored)


def _stored(cache: Cache, remembered: Remembered) -> str:
    """Store pieces for the next start, and say how that went."""
    try:
        cache.store(remembered)
    except OSError as error:
        return f"not written: {error.strerror or error}"
    return "built"


def _failed(error: Exception) -> str:
    return f"fusing failed: {_sentence(error)}"


def _stages(models: StageModels, precision: str) -> Mapping[str, onnx.ModelProto]:
    stages = {stage: models.stage_model(stage) for stage in models.network.stages}
    if precision == "fp32":
        return stages
    try:
        return quantised(models.network, stages)
    except RangeError as error:
        raise BackendError(f"this network cannot run in int8: {error}") from error


def _chain(process: Process, stages: Mapping[str, onnx.ModelProto]) -> ChainCompiler:
    try:
        return ChainCompiler(process, stages)
    except Exception as error:
        raise BackendError(f"onnxruntime {process.version} cannot run this network: {_sentence(error)}") from error


def _sentence(error: Exception) -> str:
    """The first line of what ONNX Runtime or onnx said: some of their messages are pages long."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class OpenedOnnxRuntime:
    """ONNX Runtime with one network; `compiler` is None once it is closed."""

    def __init__(
        self,
        process: Process,
        compiler: FusedCompiler | ChainCompiler | ProviderCompiler,
        precision: str,
        why: str,
        cache: str,
        provider: Provider = "cpu",
    ) -> None:
        self._process, self._precision = process, precision
        self._provider = provider
        self.compiler: FusedCompiler | ChainCompiler | ProviderCompiler | None = compiler
        self._plan, self._why, self._cache = compiler.plan, why, cache

    def compile(self, segment: Segment) -> Executable:
        """An executable for the segment, about 1 ms when fused.

        Its features are its own buffer: they last until it runs again.
        """
        if self.compiler is None:
            raise BackendError("this backend was closed: open the network again")
        try:
            return self.compiler.compile(segment)
        except BackendError:
            raise
        except Exception as error:
            chain = ", ".join((*segment.stages, segment.head))
            raise BackendError(f"onnxruntime cannot build the segment {chain}: {_sentence(error)}") from error

    def describe(self) -> dict[str, str]:
        """Name, version, plan and why, precision, what became of the cache ("loaded", "built", "not ..."), threads."""
        return {
            "name": "onnxruntime",
            "version": self._process.version,
            "plan": self._plan,
            "why": self._why,
            "precision": self._precision,
            "provider": self._provider,
            "cache": self._cache,
            "threads": str(self._process.threads),
        }

    def close(self) -> None:
        """Forget the network; executables that are still held keep their own weights."""
        self.compiler = None
