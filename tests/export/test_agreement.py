"""A single file beside the staged runtime: what counts as equal, on scripted scores."""

from __future__ import annotations

import numpy as np
import pytest
from toys import exit_bundle

from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import open_bundle
from edge.controllers.confidence import Confidence
from edge.runtime import FrameError, Runtime
from export.onnx.agreement import agreement


@pytest.fixture
def bundle(tmp_path):
    return open_bundle(exit_bundle(tmp_path / "toy", channels=8, classes=4, size=16, exits=3))


def runtime(bundle, threshold: float) -> Runtime:
    return Runtime(bundle.network, OnnxRuntime(plan="staged").open(bundle, 1), Confidence(threshold))


def tensors() -> list[np.ndarray]:
    return list(np.random.default_rng(0).random((5, 1, 3, 16, 16), np.float32))


def compared(bundle, threshold: float, exit_index: int = 0, added: float = 0.0, turned: bool = False):
    """The runtime at a threshold beside a file that leaves at an exit with what the runtime says there."""
    leaves = Runtime(bundle.network, OnnxRuntime(plan="staged").open(bundle, 1), Confidence(0.0))

    def single(tensor):
        scores = leaves.infer(tensor).scores.copy() + np.float32(added)
        return (-scores if turned else scores)[None], exit_index, 1.0

    return agreement(single, runtime(bundle, threshold), [threshold] * 2, tensors())


def test_equal_exits_answers_and_scores_are_faithful(bundle) -> None:
    found = compared(bundle, 0.0)
    assert (found.images, found.borderline, found.exits, found.answers, found.difference) == (5, 0, 1.0, 1.0, 0.0)
    assert found.faithful


def test_other_scores_answers_and_exits_are_found(bundle) -> None:
    apart = compared(bundle, 0.0, added=1.0)
    assert (apart.exits, apart.answers, apart.faithful) == (1.0, 1.0, False)
    assert compared(bundle, 0.0, turned=True).answers < 1.0
    elsewhere = compared(bundle, 1.0)
    assert (elsewhere.exits, elsewhere.difference, elsewhere.faithful) == (0.0, None, False)


def test_images_at_their_threshold_may_leave_elsewhere(bundle) -> None:
    (tensor, *_) = tensors()
    sure = runtime(bundle, 0.0).infer(tensor).confidences[0]
    for beyond, borderline in ((5e-7, 1), (5e-6, 0)):
        found = agreement(
            lambda each: (np.zeros((1, 4), np.float32), 0, 1.0),
            runtime(bundle, sure + beyond),
            [sure + beyond] * 2,
            [tensor],
        )
        assert (found.images, found.borderline, found.faithful) == (1, borderline, bool(borderline))


def test_scores_that_are_no_numbers_are_no_answer(bundle) -> None:
    with pytest.raises(FrameError, match="single file's scores at exit 0 are not finite"):
        compared(bundle, 0.0, added=np.nan)
