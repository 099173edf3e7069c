"""What a built network offers to whatever runs it: engines, and what lies at their boundaries."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge.network import Segment

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")

# As in numpy.
ElementType = Literal["float32", "float16", "int8", "int64", "bool"]
# As in TensorRT's TensorFormat: channels one after the other, or in vectors of so many.
Layout = Literal["LINEAR", "HWC8", "CHW4", "CHW32"]

_ELEMENT_BYTES: dict[ElementType, int] = {"float32": 4, "float16": 2, "int8": 1, "int64": 8, "bool": 1}
_VECTOR: dict[Layout, int] = {"LINEAR": 1, "HWC8": 8, "CHW4": 4, "CHW32": 32}


@dataclass(frozen=True, slots=True)
class Boundary:
    """An input or an output of an engine: its name there, its shape (NCHW or NC, batch 1), and how it lies in memory.

    The image and all scores are float32 and LINEAR.
    """

    name: str
    shape: tuple[int, ...]
    element: ElementType
    layout: Layout = "LINEAR"

    @property
    def size_bytes(self) -> int:
        """What a buffer for it needs: channels are filled up to whole vectors."""
        shape = list(self.shape)
        if len(shape) > 1:
            shape[1] += -shape[1] % _VECTOR[self.layout]
        return math.prod(shape) * _ELEMENT_BYTES[self.element]


@dataclass(frozen=True, slots=True)
class Engine:
    """A serialised engine (`plan`, for `deserialize_cuda_engine`), static, batch 1."""

    plan: bytes = field(repr=False)
    inputs: tuple[Boundary, ...]
    outputs: tuple[Boundary, ...]


@dataclass(frozen=True, slots=True)
class Engines:
    """All engines of one network for one device.

    `stages` has one per stage id: one input, one output; where two stages can meet, their boundaries have equal shapes,
    elements and layouts.  `segments` has those that were fused on request: outputs are scores, then features if the
    segment continues.  `single_graph` holds all decisions in `If`; it is for comparison alone.  `library` is the
    module's name ("tensorrt", "tensorrt_rtx"), `target` the compute capability ("sm87").
    """

    precision: Precision
    library: str
    version: str
    target: str
    stages: Mapping[str, Engine]
    segments: Mapping[Segment, Engine] = field(default_factory=dict)
    single_graph: Engine | None = None
