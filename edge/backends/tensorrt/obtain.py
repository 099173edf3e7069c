"""All engines of a network: from the cache, or built and kept."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from edge.backends.base import BackendError
from edge.backends.models import StageModels
from edge.backends.tensorrt.builder import Builder
from edge.backends.tensorrt.engine_cache import BuiltFor, EngineCache, Timings, UnusableError, cache_of, timings_of
from edge.backends.tensorrt.engines import PRECISIONS, Boundary, Engine, Engines, Precision
from edge.backends.tensorrt.library import Library, check_target, find_library
from edge.backends.tensorrt.prepare import (
    Part,
    PreparedModels,
    boundaries,
    prepare,
    segment_boundaries,
    segment_part,
    stage_part,
    whole_part,
)
from edge.backends.tensorrt.targets import Machine, choose_target, read_machine
from edge.network import Segment

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True)
class SingleGraph:
    """A whole network as one graph with its decisions inside: `name` says which, `join` makes it of the stages."""

    name: str
    join: Callable[[StageModels], onnx.ModelProto]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be built: every stage, and on request fused segments and the whole network as one graph.

    `target` is a compute capability ("sm86"), None for the GPU of this machine.  Without `cache` nothing is loaded or
    kept, with `rebuild` nothing is loaded.
    """

    precision: Precision
    target: str | None = None
    segments: Sequence[Segment] = ()
    single_graph: SingleGraph | None = None
    cache: bool = True
    rebuild: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision={self.precision!r} is unknown: {', '.join(PRECISIONS)}")


@dataclass(frozen=True, slots=True)
class EngineBuilt:
    """How far the building is: `step` of `steps` engines."""

    step: int
    steps: int
    seconds: float
    phase: str = "engines"
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Obtained:
    """The engines, how many of them were built now, and why the cache did not serve or keep them, a line each."""

    engines: Engines
    built: int
    notes: tuple[str, ...]
    unkept: str | None


def obtain(
    models: StageModels,
    request: Request,
    report: Callable[[EngineBuilt], None] = lambda _: None,
    machine: Machine | None = None,
    library: Library | None = None,
) -> Obtained:
    """The engines of a network; `machine` and `library` are read and found where they are not given.

    Raises:
        BackendError: there is no TensorRT, no such target, or it cannot build the network.
    """
    machine = machine or read_machine()
    target = choose_target(request.target, machine)
    library = library or find_library(machine, target)
    check_target(library, target, machine)
    if request.single_graph is not None and not library.strongly_typed:
        raise BackendError(
            f"{library.name} {library.version} cannot build a network with If in it: that needs TensorRT 10 or newer"
        )
    device = machine.device.name if machine.device is not None and machine.device.target == target else ""
    work = _Work(models, request, library, target, device)
    parts = work.parts()
    loaded, notes = work.loaded(parts)
    missing = [name for name in parts if name not in loaded]
    built, unkept = work.built([(name, parts[name]) for name in missing], report) if missing else ({}, None)
    found = loaded | built
    segments = {segment: found[_segment_name(segment)] for segment in request.segments}
    engines = Engines(
        request.precision,
        library.name,
        library.version,
        target,
        {stage: found[stage] for stage in models.network.stages},
        segments,
        found[request.single_graph.name] if request.single_graph is not None else None,
    )
    return Obtained(engines, len(built), tuple(notes), unkept)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One engine: its boundaries where they are known beforehand, and how its graph is made."""

    boundaries: tuple[tuple[Boundary, ...], tuple[Boundary, ...]] | None
    part: Callable[[PreparedModels], Part]


@dataclass(frozen=True, slots=True)
class _Work:
    models: StageModels
    request: Request
    library: Library
    target: str
    device: str

    def parts(self) -> dict[str, _Wanted]:
        network, precision = self.models.network, self.request.precision
        wanted: dict[str, _Wanted] = {}
        for stage, (taken, given) in boundaries(network, precision).items():
            part = partial(stage_part, stage_id=stage, precision=precision)
            wanted[stage] = _Wanted(((taken,), (given,)), part)
        for segment in self.request.segments:
            part = partial(segment_part, segment=segment, precision=precision)
            wanted[_segment_name(segment)] = _Wanted(segment_boundaries(network, segment, precision), part)
        whole = self.request.single_graph
        if whole is not None:
            wanted[whole.name] = _Wanted(None, lambda prepared: whole_part(whole.join(prepared)))
        return wanted

    def loaded(self, parts: Mapping[str, _Wanted]) -> tuple[dict[str, Engine], list[str]]:
        """What the cache has, and why it has not the rest, a line for each reason."""
        cache = self._cache()
        if cache is None or self.request.rebuild:
            return {}, []
        found: dict[str, Engine] = {}
        reasons: Counter[str] = Counter()
        for name, wanted in parts.items():
            try:
                engine = cache.load(self._built_for(name))
            except UnusableError as error:
                reasons[str(error)] += 1
                continue
            if engine is not None and wanted.boundaries in (None, (engine.inputs, engine.outputs)):
                found[name] = engine
        return found, [_rebuilt(count, reason) for reason, count in reasons.items()]

    def built(
        self, parts: Sequence[tuple[str, _Wanted]], report: Callable[[EngineBuilt], None]
    ) -> tuple[dict[str, Engine], str | None]:
        """Build engines one by one, each kept as soon as it is there; with that, why one could not be kept."""
        cache, timings = self._cache(), self._timings()
        began = time.monotonic()
        report(EngineBuilt(0, len(parts), 0.0))
        prepared = prepare(self.models, self.request.precision, self.library.newest_opset)
        builder = Builder(self.library, self.target, self.request.precision, timings.load() if timings else b"")
        engines: dict[str, Engine] = {}
        unkept = None
        for name, wanted in parts:
            part = wanted.part(prepared)
            built = builder.build(part, name)
            engines[name] = Engine(built.plan, part.inputs, part.outputs)
            if cache is not None and unkept is None:
                unkept = _kept(cache, self._built_for(name), engines[name])
            if timings is not None and built.timings:
                timings.store(built.timings)
            report(EngineBuilt(len(engines), len(parts), time.monotonic() - began))
        return engines, unkept

    def _built_for(self, part: str) -> BuiltFor:
        return BuiltFor(
            network=self.models.digest,
            part=part,
            precision=self.request.precision,
            library=self.library.name,
            version=self.library.version,
            device=self.device,
            target=self.target,
        )

    def _cache(self) -> EngineCache | None:
        if not self.request.cache:
            return None
        return cache_of(self.models.digest, self.request.precision, self.target)

    def _timings(self) -> Timings | None:
        if not self.request.cache:
            return None
        return timings_of(self.library.name, self.library.version, self.device, self.target)


def _segment_name(segment: Segment) -> str:
    """A part's name; a stage's id has no `+`."""
    return "+".join((*segment.stages, segment.head, *(["features"] if segment.continues else [])))


def _rebuilt(count: int, reason: str) -> str:
    return f"1 engine is built anew: it {reason}" if count == 1 else f"{count} engines are built anew: each {reason}"


def _kept(cache: EngineCache, built_for: BuiltFor, engine: Engine) -> str | None:
    """Keep an engine; gives why it could not be kept."""
    try:
        cache.store(built_for, engine)
    except OSError as error:
        return f"{error.filename or cache.folder}: {error.strerror or error}"
    return None
