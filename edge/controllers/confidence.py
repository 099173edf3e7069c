"""Stop at the first exit that gives one class most of the probability."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edge.controllers.certainty import max_softmax
from edge.controllers.threshold import Thresholded


@dataclass
class Confidence(Thresholded):
    """Stops where the largest softmax is at least the threshold: `confidence:0.9` (Kaya et al. 2019)."""

    threshold: float | None = field(
        default=None, metadata={"help": "softmax to stop from, 0 to 1", "example": "confidence:0.9"}
    )

    name: ClassVar[str] = "confidence"

    def measure(self, scores: NDArray[np.float32]) -> float:
        return max_softmax(scores)
