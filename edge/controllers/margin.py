"""Stop at the first exit whose likeliest class is far ahead of the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edge.controllers.certainty import softmax_margin
from edge.controllers.threshold import Thresholded


@dataclass
class Margin(Thresholded):
    """Stops where the two largest softmax values lie at least the threshold apart: `margin:0.6`."""

    threshold: float | None = field(
        default=None, metadata={"help": "lead to stop from, 0 to 1", "example": "margin:0.6"}
    )

    name: ClassVar[str] = "margin"

    def measure(self, scores: NDArray[np.float32]) -> float:
        return softmax_margin(scores)
