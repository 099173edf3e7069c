"""How often a bundle is right, run as it is stored: what its manifest states as measured."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from bench.statistics.proportion import wilson_interval
from bench.summary import Estimate
from edge.controllers.base import Controller
from edge.preprocess import Preprocessor
from edge.runtime import FrameError, Runtime


def measure_accuracy(
    runtime: Runtime,
    preprocess: Preprocessor,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    draws: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Estimate:
    """The share of right answers on `images` (n, height, width, 3) with `labels` (n,), and Wilson's 95% interval.

    Each image is shown `draws` times, and its share of right answers counts: the value is the mean over images and
    gates.  The interval is that of n images shown once, because further draws of the gates tell nothing of further
    images; n is theirs.  A frame that fails is wrong.  `report` is told how many images of how many are done.
    """
    right = 0
    for done, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        report(done, len(images))
        tensor = preprocess(image)
        for _ in range(draws):
            with suppress(FrameError):
                right += int(runtime.infer(tensor).scores.argmax()) == label
    report(len(images), len(images))
    share = right / (len(images) * draws)
    low, high = wilson_interval(share, len(images))
    return Estimate(share, low, high, len(images))


class EveryExit(Controller):
    """Goes through every exit to the end and keeps what each answers: beside a controller of gates, or by itself."""

    def start(self) -> None:
        self.answers: list[int] = []

    def wants(self, exit_index: int) -> bool:
        return True

    def at_exit(self, exit_index: int, scores: NDArray[np.float32]) -> bool:
        self.answers.append(int(scores.argmax()))
        return False

    def at_end(self, exit_index: int, scores: NDArray[np.float32]) -> int:
        self.answers.append(int(scores.argmax()))
        return exit_index


def measure_exits(
    runtime: Runtime,
    asked: EveryExit,
    preprocess: Preprocessor,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[Estimate]:
    """The share of right answers of every exit, first to last, each on all of `images`, with Wilson's interval.

    `runtime` has `asked` among its controllers; images and labels are those of `measure_accuracy`.
    """
    exits = len(runtime.network.exits)
    right = np.zeros(exits, np.int64)
    for done, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        report(done, len(images))
        with suppress(FrameError):
            runtime.infer(preprocess(image))
            right += np.array(asked.answers) == label
    report(len(images), len(images))
    shares = (right / len(images)).tolist()
    return [Estimate(share, *wilson_interval(share, len(images)), len(images)) for share in shares]
