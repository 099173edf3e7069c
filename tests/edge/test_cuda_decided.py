"""Frames that the device decides by itself, on the double: the same routes, exits and scores as the host's."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_double import DoubleDevice, DoubleGraphs, session_stages
from toys import both_bundle, image

from edge.backends.base import BackendError
from edge.backends.cuda.opening import open_network
from edge.backends.cuda.options import CudaOptions
from edge.bundle import open_bundle
from edge.controllers.composed import Composed
from edge.controllers.confidence import Confidence
from edge.controllers.gusodrop import GuSoDrop
from edge.controllers.margin import Margin
from edge.controllers.random import RandomDepth
from edge.randomness import GateRandom
from edge.runtime import FrameError, Runtime


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return open_bundle(both_bundle(tmp_path_factory.mktemp("bundle") / "both", blocks=4, channels=8))


def opened(bundle, stages=None, device=None, **options):
    stages, device = stages or session_stages(bundle), device or DoubleDevice()
    options = {"exits": "host", **options}
    return open_network(bundle.network, stages, device, CudaOptions(**options), {}, DoubleGraphs())


def usual_confidences(bundle) -> list[float]:
    """The median confidence of each exit but the last: about half of the frames stop there."""
    controller = Confidence(1.0)
    runtime = Runtime(bundle.network, opened(bundle), controller)
    seen = []
    for seed in range(12):
        runtime.infer(image(seed))
        seen.append([controller.confidences[index] for index in range(2)])
    return np.median(seen, axis=0).tolist()


CONTROLLERS = {
    "gates": lambda first, second: GuSoDrop(),
    "exits": lambda first, second: Confidence(thresholds=f"{first};{second}"),
    "one exit is not asked": lambda first, second: Confidence(thresholds=f"-;{second}"),
    "both": lambda first, second: Composed([GuSoDrop(), Confidence(first)]),
}


@pytest.mark.parametrize("integrated", [False, True], ids=["discrete", "integrated"])
@pytest.mark.parametrize("options", [{"exits": "device"}, {"gates": "device"}], ids=["exits", "gates and exits"])
@pytest.mark.parametrize("make", CONTROLLERS.values(), ids=CONTROLLERS)
def test_the_device_decides_as_the_host_does(bundle, make, options, integrated):
    usual = usual_confidences(bundle)
    on_host = Runtime(bundle.network, opened(bundle), make(*usual), random=GateRandom(5))
    backend = opened(bundle, device=DoubleDevice(integrated=integrated), **options)
    on_device = backend.runtime(make(*usual), GateRandom(5))
    paths = set()
    for seed in range(12):
        found, wanted = on_device.infer(image(seed)), on_host.infer(image(seed))
        assert (found.route, found.exit, found.answered_by) == (wanted.route, wanted.exit, wanted.answered_by)
        np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)
        paths.add((found.route, found.exit))
    assert len(paths) > 1
    on_device.close()


def test_a_frame_is_one_launch_and_one_wait(bundle):
    device = DoubleDevice()
    runtime = opened(bundle, device=device, gates="device").runtime(CONTROLLERS["both"](0.3, 0.3), GateRandom(5))
    runtime.infer(image())
    device.log.clear()
    runtime.infer(image(1))
    assert [each for each in device.log if each != "record"] == ["upload", "launch", "download", "wait"]


def test_the_noise_is_new_in_every_frame_and_that_of_the_seed_again_after_a_restart(bundle):
    runtime = opened(bundle, gates="device").runtime(GuSoDrop(), GateRandom(9))
    first = [runtime.infer(image()).route for _ in range(20)]
    assert len(set(first)) > 1
    runtime.restart()
    assert [runtime.infer(image()).route for _ in range(20)] == first


def test_probabilities_that_are_none_are_an_error_of_the_frame(bundle):
    stages = session_stages(bundle)

    class Wrong:
        input_bytes, scratch_bytes = stages["policy"].input_bytes, 0
        output_bytes = stages["policy"].output_bytes

        def lend(self, scratch):
            pass

        def enqueue(self, stream, source, target):
            from cuda_double import at

            stream.add("policy", lambda: np.copyto(at(target, 16).view(np.float32), np.float32("nan")))

    runtime = opened(bundle, {**stages, "policy": Wrong()}, gates="device").runtime(GuSoDrop(), GateRandom(1))
    with pytest.raises(FrameError, match=r"the keep-probability of gate 0 is not in \[0, 1\]"):
        runtime.infer(image())


@pytest.mark.parametrize(
    ("controller", "options", "why"),
    [
        (RandomDepth(0.5), {"gates": "device"}, "draws gates as gusodrop does"),
        (Margin(0.5), {"exits": "device"}, "decides exits as confidence with fallback=last does"),
        (Confidence(0.5, fallback="most-confident"), {"exits": "device"}, "fallback=last"),
    ],
)
def test_what_the_device_cannot_decide_is_refused(bundle, controller, options, why):
    with pytest.raises(BackendError, match=why):
        opened(bundle, **options).runtime(controller, GateRandom(1))


def test_an_old_driver_is_refused(bundle):
    device = DoubleDevice()
    object.__setattr__(device.facts, "driver", 12020)
    with pytest.raises(BackendError, match=r"exits=device needs CUDA 12.4 or newer, and the driver of Double has 12.2"):
        opened(bundle, device=device, exits="device")
    assert device.closed


def test_the_way_of_exits_is_measured_where_nobody_chose(bundle):
    assert opened(bundle, exits="measured").describe()["exits"] in ("host", "speculative")
