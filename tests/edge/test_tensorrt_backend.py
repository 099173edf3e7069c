"""The TensorRT backend, from engines to answers, on doubles that compute with ONNX Runtime."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import toys
from tensorrt_double import VERSIONS, Faults, install, packed, unpacked

from bench.selftest import deviations
from edge.backends.base import BackendError
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.tensorrt.backend import TensorRT
from edge.backends.tensorrt.engines import PRECISIONS, Boundary, Precision
from edge.bundle import Bundle, open_bundle
from edge.controllers.composed import Composed
from edge.controllers.confidence import Confidence
from edge.controllers.gusodrop import GuSoDrop
from edge.randomness import GateRandom
from edge.runtime import Runtime

# The share of the largest score by which random weights may move scores.
TOLERANCES = {"fp32": 1e-5, "fp16": 0.02, "int8": 0.2}


@pytest.fixture(scope="module")
def bundle(calibrated: Path) -> Bundle:
    return open_bundle(calibrated)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_route_and_exit_in_every_precision_and_version(
    bundle: Bundle, precision: Precision, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, version)
    with (
        closing(TensorRT(precision=precision, exits="host").open(bundle, 1)) as backend,
        closing(OnnxRuntime(plan="staged").open(bundle, 1)) as judge,
    ):
        found = list(deviations(bundle.network, backend, judge, images=1))
        assert len(found) == 2 ** len(bundle.network.gates) * len(bundle.network.exits) + 1
        assert max(each.error for each in found) <= TOLERANCES[precision]
        details = backend.describe()
    assert (details["name"], details["version"], details["target"]) == ("tensorrt", version, "sm87")
    assert backend.remarks() == []


@pytest.mark.parametrize("exits", ["measured", "speculative", "device"])
def test_the_ways_of_deciding_give_the_same_answers(
    bundle: Bundle, exits: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch)
    gates = "device" if exits == "device" else "host"
    answers = []
    for options in ({"exits": "host"}, {"exits": exits, "gates": gates}):
        backend, random = TensorRT(precision="fp32", **options).open(bundle, 1), GateRandom(1)
        controller = Composed([GuSoDrop(), Confidence(0.5)])
        runtime = backend.runtime(controller, random) or Runtime(bundle.network, backend, controller, random=random)
        answers.append([runtime.infer(toys.image(seed, size=16)) for seed in range(12)])
        runtime.close()
    for host, other in zip(*answers, strict=True):
        assert (host.route, host.exit) == (other.route, other.exit)
        np.testing.assert_allclose(host.scores, other.scores, atol=1e-5)


def test_a_route_as_one_engine(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    with closing(TensorRT(precision="int8").open(bundle, 1)) as backend:
        segment = bundle.network.segment("0110", 0, len(bundle.network.exits) - 1)
        image = toys.image(3, size=16)
        _, stages = backend.compile(segment).run(image)
        _, fused = backend.static(segment).run(image)
    np.testing.assert_allclose(stages, fused, atol=1e-5)


def test_engines_that_are_refused_are_built_anew_and_a_remark_says_why(
    bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults()
    install(monkeypatch, faults=faults)
    TensorRT().open(bundle, 1).close()
    faults.refused_loads = 1
    with closing(TensorRT().open(bundle, 1)) as backend:
        (remark,) = backend.remarks()
        assert remark.startswith(
            "all engines are built anew: tensorrt 10.3.0 cannot load the engine of stem (the engine"
        )
        backend.compile(bundle.network.policy_segment()).run(toys.image(size=16))

    (engine,) = cache.glob("edgebench/tensorrt/*/head0.engine")
    engine.write_bytes(engine.read_bytes()[:-1])
    install(monkeypatch)
    assert TensorRT().open(bundle, 1).remarks() == ["1 engine is built anew: it is cut off"]
    install(monkeypatch, "10.16.1.11")
    (remark,) = TensorRT().open(bundle, 1).remarks()
    assert remark.endswith("engines are built anew: each was built by tensorrt 10.3.0, and this is tensorrt 10.16.1.11")


def test_engines_just_built_that_are_refused_are_not_built_again(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, faults=Faults(refused_loads=9))
    with pytest.raises(BackendError, match=r"tensorrt 10\.3\.0 cannot load the engine of stem \(the engine plan"):
        TensorRT().open(bundle, 1)


@pytest.mark.parametrize("layout", ["HWC8", "CHW4", "CHW32"])
@pytest.mark.parametrize("channels", [3, 8, 32, 33])
def test_layouts_hold_the_same_features(layout: str, channels: int) -> None:
    """And element (channel, row, column) lies where NVIDIA's description of the format says."""
    boundary = Boundary("x", (1, channels, 4, 5), "int8", layout)
    features = np.random.default_rng(0).integers(-128, 128, boundary.shape, np.int8)
    memory = packed(features, boundary)
    assert memory.size == boundary.size_bytes
    np.testing.assert_array_equal(unpacked(memory, boundary), features)
    channel, row, column, vector = channels - 1, 2, 3, int(layout[3:])
    filled = -(-channels // vector) * vector
    at = (row * 5 + column) * filled + channel
    if layout != "HWC8":
        at = ((channel // vector * 4 + row) * 5 + column) * vector + channel % vector
    assert memory.view(np.int8)[at] == features[0, channel, row, column]
