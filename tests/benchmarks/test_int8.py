"""The benchmark of int8: what it counts, and what it holds to be too much."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import toys

from benchmarks.int8 import _classes, _drawn, _of_tensorrt, compare, judge, lines
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import open_bundle


def test_what_is_counted() -> None:
    labels = np.array([0, 1, 2, 3])
    exact, narrow = np.array([[0, 0], [1, 1], [0, 2], [3, 3]]), np.array([[0, 0], [1, 0], [2, 0], [0, 3]])
    first, second = compare("net", "onnxruntime", "all blocks", labels, (exact, narrow))

    assert (first.float32, first.int8, first.same, first.only_float32, first.only_int8) == (0.75, 0.75, 0.5, 1, 1)
    assert (second.exit, second.float32, second.int8, second.lost_points) == (1, 1.0, 0.5, 50.0)
    (verdict,) = judge([first, second])
    assert not verdict.holds
    assert judge([dataclasses.replace(second, images=1000, only_float32=7, only_int8=2)])[0].holds
    assert not judge([dataclasses.replace(second, images=1000, only_float32=7, only_int8=1)])[0].holds
    assert len([*lines([first, second], {})]) == 7


def test_both_graphs_answer_as_float32_does_nearly_always(calibrated: Path) -> None:
    bundle = open_bundle(calibrated)
    network, images = bundle.network, [toys.image(seed, size=16) for seed in range(40)]
    exact, narrow = (OnnxRuntime(plan="staged", precision=each).open(bundle, 1) for each in ("fp32", "int8"))
    routes = _drawn(exact, network, images, seed=1)
    assert len(set(routes)) > 1
    full = [network.full_route] * len(images)
    in_float = _classes(exact, network, full, images)
    assert in_float.shape == (len(images), len(network.exits))
    assert (_of_tensorrt(bundle, images) == in_float).mean() > 0.8
    assert (_classes(narrow, network, routes, images) == _classes(exact, network, routes, images)).mean() > 0.8
