from __future__ import annotations

import numpy as np
import pytest

from bench.accuracy import EveryExit, measure_accuracy, measure_exits
from bench.statistics.proportion import wilson_interval
from edge.controllers.base import Controller
from edge.controllers.composed import Composed
from edge.network import Exit, Network, Stage, TensorSpec
from edge.preprocess import Preprocessor
from edge.runtime import Runtime

LABELS = np.arange(10, dtype=np.int64)
# The first pixel of an image is its label.
IMAGES = np.zeros((10, 8, 8, 3), np.uint8) + LABELS.astype(np.uint8)[:, None, None, None]


class Reader:
    """Answers the first pixel's value; every `wrong`th answer is another class, every `broken`th is no number."""

    plan = "fused"

    def __init__(self, wrong=0, broken=0):
        self.wrong, self.broken, self.asked = wrong, broken, 0

    def compile(self, segment):
        return self

    def run(self, image):
        self.asked += 1
        scores = np.zeros(10, np.float32)
        shift = 1 if self.wrong and self.asked % self.wrong == 0 else 0
        scores[(round(float(image[0, 0, 0, 0]) * 255) + shift) % 10] = 1.0
        if self.broken and self.asked % self.broken == 0:
            scores[0] = np.nan
        return None, scores


def runtime(reader):
    stem = Stage("stem", "stem", "stem.onnx", TensorSpec("x", (1, 3, 8, 8)), TensorSpec("y", (1, 4)), 1, 1, "")
    head = Stage("head", "head", "head.onnx", TensorSpec("y", (1, 4)), TensorSpec("z", (1, 10)), 1, 1, "")
    network = Network({"stem": stem, "head": head}, ("stem",), (), (Exit("stem", "head"),), None)
    return Runtime(network, reader, Controller())


@pytest.mark.parametrize(
    ("reader", "draws", "share"),
    [
        (Reader(), 1, 1.0),
        (Reader(wrong=2), 1, 0.5),
        (Reader(wrong=5), 5, 0.8),
        (Reader(broken=2), 1, 0.5),
    ],
)
def test_the_share_counts_all_draws_and_the_interval_the_images(reader, draws, share):
    told = []
    found = measure_accuracy(
        runtime(reader), Preprocessor(8, 8), IMAGES, LABELS, draws, lambda done, total: told.append((done, total))
    )
    assert found.value == share
    assert (found.low, found.high) == wilson_interval(share, 10)
    assert found.n == 10
    assert reader.asked == 10 * draws
    assert told == [(done, 10) for done in range(11)]


def test_every_exit_is_measured_on_every_image():
    """Wrong are the answers of every second head that is asked: with two exits always the last one."""
    stem = Stage("stem", "stem", "stem.onnx", TensorSpec("x", (1, 3, 8, 8)), TensorSpec("y", (1, 4)), 1, 1, "")
    heads = [Stage(name, "head", f"{name}.onnx", stem.output, TensorSpec("z", (1, 10)), 1, 1, "") for name in "ab"]
    block = Stage("block", "block", "block.onnx", stem.output, stem.output, 1, 1, "")
    stages = {stage.id: stage for stage in (stem, block, *heads)}
    exits = (Exit("stem", "a"), Exit("block", "b"))
    network = Network(stages, ("stem", "block"), (), exits, None)

    class Passing(Reader):
        def run(self, image):
            return image, super().run(image)[1]

    asked = EveryExit()
    runtime = Runtime(network, Passing(wrong=2), Composed([Controller(), asked]))
    found = measure_exits(runtime, asked, Preprocessor(8, 8), IMAGES, LABELS)
    assert [each.value for each in found] == [1.0, 0.0]
    assert (found[0].low, found[0].high) == wilson_interval(1.0, 10)
    broken = Runtime(network, Passing(broken=4), Composed([asked]))
    assert [each.value for each in measure_exits(broken, asked, Preprocessor(8, 8), IMAGES, LABELS)] == [0.5, 0.5]
