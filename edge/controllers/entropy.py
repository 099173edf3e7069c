"""Stop at the first exit that leaves little open."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edge.controllers.certainty import softmax_entropy
from edge.controllers.threshold import Thresholded


@dataclass
class Entropy(Thresholded):
    """Stops where the entropy of the softmax is at most the threshold: `entropy:0.3` (Teerapittayanon et al. 2016)."""

    threshold: float | None = field(
        default=None, metadata={"help": "nats to stop at, 0 to the logarithm of the classes", "example": "entropy:0.3"}
    )

    name: ClassVar[str] = "entropy"
    falls: ClassVar[bool] = True
    highest: ClassVar[float] = inf

    def measure(self, scores: NDArray[np.float32]) -> float:
        return softmax_entropy(scores)
