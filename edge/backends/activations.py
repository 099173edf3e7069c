"""The ranges of activations that a bundle's stages state, for backends that compute in int8.

They lie in the metadata of a stage's ONNX model, where its digest covers them and other runtimes pass them over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import onnx

KEY = "edgebench.activations"


class Range(NamedTuple):
    """The least and the largest value that a tensor is expected to take; 0 lies between them."""

    low: float
    high: float


class RangeError(ValueError):
    """A stage states no ranges, or none that can be used: one sentence."""


def stated_ranges(model: onnx.ModelProto, stage_id: str) -> dict[str, Range]:
    """Ranges by the name of the tensor.

    Raises:
        RangeError: there are none, or they are not what `state_ranges` writes.
    """
    text = next((entry.value for entry in model.metadata_props if entry.key == KEY), None)
    if text is None:
        raise RangeError(
            f"stage {stage_id} states no ranges of its activations: calibrate the bundle with python -m export.quantize"
        )
    try:
        ranges = {str(name): Range(float(low), float(high)) for name, (low, high) in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        ranges = {}
    if not ranges or not all(-math.inf < low <= 0 <= high < math.inf and low < high for low, high in ranges.values()):
        raise RangeError(f"stage {stage_id} states ranges that cannot be read: calibrate the bundle again")
    return ranges


def state_ranges(model: onnx.ModelProto, ranges: Mapping[str, Range]) -> None:
    """Write ranges into the model, in place of those it had."""
    kept = [entry for entry in model.metadata_props if entry.key != KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    # Seven digits tell float32 apart well enough for a scale, and read better.
    rounded = {name: [float(f"{end:.7g}") for end in ranges[name]] for name in sorted(ranges)}
    model.metadata_props.add(key=KEY, value=json.dumps(rounded))
