"""ONNX Runtime on a GPU: its execution providers, one session per segment, features left on the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge.backends.base import BackendError, Executable, Features
from edge.backends.compose import compose, segment_inputs
from edge.backends.onnxruntime.process import Process
from edge.network import Network, Segment

if TYPE_CHECKING:
    import onnx

Provider = Literal["cpu", "cuda", "tensorrt", "nv_tensorrt_rtx"]
NAMES: Mapping[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "nv_tensorrt_rtx": "NvTensorRTRTXExecutionProvider",
}


def check_provider(process: Process, provider: Provider) -> None:
    """Refuse a provider that this ONNX Runtime was not built with.

    Raises:
        BackendError: it was not.
    """
    if NAMES[provider] not in process.ort.get_available_providers():
        raise BackendError(
            f"onnxruntime {process.version} has no provider {provider} ({NAMES[provider]}): install onnxruntime-gpu in "
            "its place, or on a Jetson the build that its maker provides"
        )


class ProviderExecutable:
    """A segment as one session; its features stay where the provider computes."""

    plan = "fused"

    def __init__(self, session: Any, segment: Segment, device: str) -> None:
        self._session, self._segment = session, segment
        self._input = session.get_inputs()[0].name
        self._binding = session.io_binding()
        self._outputs = [output.name for output in session.get_outputs()]
        self._binding.bind_output(self._outputs[0], "cpu")
        for name in self._outputs[1:]:
            self._binding.bind_output(name, device)

    def run(self, features: Features) -> tuple[Features | None, NDArray[np.float32]]:
        if isinstance(features, np.ndarray):
            self._binding.bind_cpu_input(self._input, features)
        else:
            self._binding.bind_ortvalue_input(self._input, features)
        self._session.run_with_iobinding(self._binding)
        scores, *rest = self._binding.get_outputs()
        behind = (rest[0] if rest else features) if self._segment.continues else None
        found: NDArray[np.float32] = scores.numpy()[0].copy()
        return behind, found


class ProviderCompiler:
    """One session per segment, its graph optimised by ONNX Runtime for the provider."""

    plan = "fused"

    def __init__(
        self, process: Process, network: Network, stages: Mapping[str, onnx.ModelProto], provider: Provider
    ) -> None:
        check_provider(process, provider)
        self._process, self._network, self._stages = process, network, stages
        self._provider: Provider = provider

    def compile(self, segment: Segment) -> Executable:
        model = joined(self._network, self._stages, segment)
        options = self._process.options(optimise=True)
        names = [NAMES[self._provider], *([] if self._provider == "cpu" else [NAMES["cpu"]])]
        session = self._process.ort.InferenceSession(model.SerializeToString(), options, providers=names)
        if session.get_providers()[0] != names[0]:
            # ONNX Runtime goes on without a provider that cannot start, which would be measured for another.
            raise BackendError(
                f"the provider {self._provider} of onnxruntime {self._process.version} cannot start: look at what "
                "onnxruntime says above, most often a CUDA or TensorRT library is missing"
            )
        return ProviderExecutable(session, segment, "cpu" if self._provider == "cpu" else "cuda")


def joined(network: Network, stages: Mapping[str, onnx.ModelProto], segment: Segment) -> onnx.ModelProto:
    """A segment as one graph; its outputs are the scores, then features if it continues and has stages of its own."""
    model = compose(network, stages, segment_inputs(segment))
    wanted = [segment.head, *([segment.stages[-1]] if segment.continues and segment.stages else [])]
    taken = network.stages[(*segment.stages, segment.head)[0]].input
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    del sizes[:]
    for size in taken.shape:
        sizes.add(dim_value=size)
    outputs = {output.name: output for output in model.graph.output}
    del model.graph.output[:]
    model.graph.output.extend(outputs[name] for name in wanted)
    return model
