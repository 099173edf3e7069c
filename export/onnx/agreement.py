"""Whether the single file decides and answers as the staged runtime does: frame by frame, both on the same images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.backends.onnxruntime.verify import TOLERANCE, relative_error
from edge.runtime import FrameError, Runtime

# Softmax is float32 in the file and float64 in the controller.
MARGIN = 1e-6

# A tensor (1, 3, h, w) -> scores (1, classes), exit, confidence.
SingleFile = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], int, float]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Shares of equal exits and equal answers on `images` images, and how far the scores of equal exits lie apart.

    `difference` is the largest, as a share of the image's largest score; None where no exit was equal.  `borderline`
    images left elsewhere and lie within MARGIN of a threshold, where either may leave: they are in none of the shares.
    """

    images: int
    borderline: int
    exits: float
    answers: float
    difference: float | None

    @property
    def faithful(self) -> bool:
        """Whether the file decides and answers alike, to the precision of float32."""
        near = self.difference is None or self.difference <= TOLERANCE
        return self.exits == 1.0 and self.answers == 1.0 and near


def agreement(
    single: SingleFile, runtime: Runtime, thresholds: Sequence[float | None], tensors: Iterable[NDArray[np.float32]]
) -> Agreement:
    """Compare on tensors (1, 3, h, w), at least one; `runtime` stops by confidence at the file's thresholds.

    Raises:
        FrameError: either gives an image scores that are no finite numbers.
    """
    exits: list[bool] = []
    answers: list[bool] = []
    differences: list[float] = []
    borderline = 0
    for tensor in tensors:
        scores, exit_index, _ = single(tensor)
        staged = runtime.infer(tensor)
        if not np.isfinite(scores).all():
            raise FrameError(f"the single file's scores at exit {exit_index} are not finite numbers")
        if exit_index == staged.exit:
            differences.append(relative_error(scores[0], staged.scores))
        elif _margin(thresholds, staged.confidences) <= MARGIN:
            borderline += 1
            continue
        exits.append(exit_index == staged.exit)
        answers.append(int(scores.argmax()) == int(staged.scores.argmax()))
    # Images that are all borderline contradict nothing.
    return Agreement(
        len(exits) + borderline,
        borderline,
        float(np.mean(exits or [True])),
        float(np.mean(answers or [True])),
        max(differences, default=None),
    )


def _margin(thresholds: Sequence[float | None], confidences: Mapping[int, float]) -> float:
    """How near an image came to the threshold of any exit that was asked."""
    limits = [(thresholds[index], sure) for index, sure in confidences.items()]
    return min((abs(sure - limit) for limit, sure in limits if limit is not None), default=math.inf)
