"""One graph through TensorRT's own parser and builder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge.backends.base import BackendError
from edge.backends.tensorrt.engines import Boundary, ElementType, Precision
from edge.backends.tensorrt.library import Library, is_about_memory, listener
from edge.backends.tensorrt.prepare import Part

# Names in TensorRT's DataType.
_ELEMENTS: dict[ElementType, str] = {
    "float32": "FLOAT",
    "float16": "HALF",
    "int8": "INT8",
    "int64": "INT64",
    "bool": "BOOL",
}


@dataclass(frozen=True, slots=True)
class Built:
    """A serialised engine, and what the builder has learned about kernels, for the next one."""

    plan: bytes
    timings: bytes


class Builder:
    """Builds engines for one target; `timings` is what an earlier one learned, or nothing."""

    def __init__(self, library: Library, target: str, precision: Precision, timings: bytes = b"") -> None:
        self._library, self._target, self._precision = library, target, precision
        self._timings = timings
        self._heard: list[str] = []
        self._logger = listener(library.module, self._heard)

    def build(self, part: Part, what: str) -> Built:
        """The engine of a part; `what` names it in errors.

        Raises:
            BackendError: the parser refuses an operator, or the builder finds no kernels: in TensorRT's words.
        """
        trt = self._library.module
        self._heard.clear()
        builder = trt.Builder(self._logger)
        if builder is None:
            raise self._refused(what, "has no builder here")
        network = builder.create_network(self._library.network_flags())
        parser = trt.OnnxParser(network, self._logger)
        if not parser.parse(part.model.SerializeToString()):
            said = [" ".join(str(parser.get_error(index)).split()) for index in range(parser.num_errors)]
            raise self._refused(what, "cannot read", said)
        self._declare(network, part, what)
        config = builder.create_builder_config()
        timing_cache = self._configure(config)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise self._refused(what, "cannot build", self._heard)
        if timing_cache is not None:
            self._timings = bytes(config.get_timing_cache().serialize())
        return Built(bytes(plan), self._timings)

    def _configure(self, config: Any) -> Any:
        """Set all options; gives the timing cache, None where the library keeps none."""
        trt = self._library.module
        # On by default: it would compute products of float32 with 10 bits.
        config.clear_flag(trt.BuilderFlag.TF32)
        for flag in self._library.precision_flags(self._precision):
            config.set_flag(flag)
        if self._library.builds_for_others:
            config.num_compute_capabilities = 1
            capability = getattr(trt.ComputeCapability, self._target.upper())
            config.set_compute_capability(capability, 0)
            # It picks kernels where the engine runs.
            return None
        timing_cache = config.create_timing_cache(self._timings)
        if not config.set_timing_cache(timing_cache, False):
            timing_cache = config.create_timing_cache(b"")
            config.set_timing_cache(timing_cache, False)
        return timing_cache

    def _declare(self, network: Any, part: Part, what: str) -> None:
        """Hold what was parsed against what was wanted, and ask for the layouts."""
        found = [network.get_input(index) for index in range(network.num_inputs)]
        given = [network.get_output(index) for index in range(network.num_outputs)]
        for tensors, wanted in ((found, part.inputs), (given, part.outputs)):
            by_name = {tensor.name: tensor for tensor in tensors}
            if set(by_name) != {boundary.name for boundary in wanted}:
                raise self._refused(what, f"reads other inputs or outputs ({', '.join(by_name)}) of")
            for boundary in wanted:
                self._declare_tensor(by_name[boundary.name], boundary, what)

    def _declare_tensor(self, tensor: Any, boundary: Boundary, what: str) -> None:
        trt = self._library.module
        element = getattr(trt.DataType, _ELEMENTS[boundary.element])
        if not self._library.strongly_typed and tensor.dtype != element:
            tensor.dtype = element
        if tuple(tensor.shape) != boundary.shape or tensor.dtype != element:
            raise self._refused(what, f"reads {boundary.name} as {tensor.dtype} {tuple(tensor.shape)} of")
        tensor.allowed_formats = 1 << int(getattr(trt.TensorFormat, boundary.layout))

    def _refused(self, what: str, reason: str, said: list[str] | None = None) -> BackendError:
        words = f": {said[-1]}" if said else ""
        memory = "; free some memory, or add swap" if any(map(is_about_memory, self._heard)) else ""
        return BackendError(
            f"{self._library.name} {self._library.version} {reason} {what} for {self._target} in {self._precision}"
            f"{words}{memory}"
        )
