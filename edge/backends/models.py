"""What a backend needs to know of a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from edge.network import Network

if TYPE_CHECKING:
    import onnx


class StageModels(Protocol):
    """A network and the ONNX model of each of its stages; a bundle is one."""

    @property
    def network(self) -> Network: ...

    @property
    def digest(self) -> str:
        """SHA-256 that names this network and its weights, for caches."""

    def stage_model(self, stage_id: str) -> onnx.ModelProto:
        """The stage with float32 weights: one input and one output named as in the manifest, opset 17 or newer."""
