"""The CUDA layer on a device that does nothing until somebody waits: every route and exit, and what is asked when."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from cuda_double import DoubleDevice, DoubleGraphs, session_stages
from toys import both_bundle, decided_bundle, exit_bundle, gated_bundle, image

from edge.backends.base import BackendError, DeviceLostError
from edge.backends.cuda.backend import OpenedCuda
from edge.backends.cuda.memory import ALIGNMENT_BYTES, plan_memory
from edge.backends.cuda.options import CudaOptions
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import open_bundle
from edge.controllers.base import Controller
from edge.controllers.confidence import Confidence
from edge.controllers.constant import Fixed, KeepAll
from edge.controllers.gusodrop import GuSoDrop
from edge.controllers.skipnet import SkipNet
from edge.randomness import GateRandom
from edge.runtime import Runtime

MAKERS = {"gated": gated_bundle, "exits": exit_bundle, "both": both_bundle, "decided": decided_bundle}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    return {name: open_bundle(make(folder / name, blocks=4, channels=8)) for name, make in MAKERS.items()}


def opened(bundle, device=None, capturing=None, **options) -> OpenedCuda:
    device, capturing = device or DoubleDevice(), capturing or DoubleGraphs()
    options = CudaOptions(**{"exits": "host", **options})
    return OpenedCuda(bundle.network, session_stages(bundle), device, capturing, options, {"name": "double"})


class StopAt(Controller):
    """A route, and an exit to stop at, all before it being asked."""

    def __init__(self, route: str, stop: int) -> None:
        self.route, self.stop = route, stop

    def gates(self, probabilities):
        return self.route

    def wants(self, exit_index: int) -> bool:
        return True

    def at_exit(self, exit_index: int, scores) -> bool:
        return exit_index == self.stop

    def likely_routes(self) -> list[str]:
        return [self.route]


@pytest.mark.parametrize("integrated", [False, True], ids=["discrete", "integrated"])
@pytest.mark.parametrize("exits", ["host", "speculative"])
@pytest.mark.parametrize("graphs", [300, 2, 0])
@pytest.mark.parametrize("name", ["gated", "exits", "both"])
def test_every_route_and_exit_gives_the_scores_of_onnx_runtime(bundles, name, graphs, exits, integrated):
    bundle = bundles[name]
    routes = ["".join(bits) for bits in product("01", repeat=len(bundle.network.gates))]
    backend = opened(bundle, DoubleDevice(integrated=integrated), exits=exits, graphs=graphs)
    judge = OnnxRuntime(plan="staged").open(bundle, 1)
    frames = [image(seed) for seed in range(3)]
    controller = StopAt(routes[0], 0)
    runtime, expected = Runtime(bundle.network, backend, controller), Runtime(bundle.network, judge, controller)
    for route in routes:
        for stop in range(len(bundle.network.exits)):
            controller.route, controller.stop = route, stop
            frame = frames[stop % 3]
            found, wanted = runtime.infer(frame), expected.infer(frame)
            assert (found.exit, found.route) == (wanted.exit, wanted.route)
            np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)
    runtime.close()


def test_gate_networks_are_asked_on_the_way(bundles):
    bundle = bundles["decided"]
    judge = Runtime(bundle.network, OnnxRuntime(plan="staged").open(bundle, 1), SkipNet())
    for exits in ("host", "speculative"):
        runtime = Runtime(bundle.network, opened(bundle, exits=exits), SkipNet())
        for seed in range(8):
            found, wanted = runtime.infer(image(seed)), judge.infer(image(seed))
            assert found.route == wanted.route
            np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)


def test_the_policy_and_the_route_read_one_upload_and_each_is_waited_for_once(bundles):
    device = DoubleDevice()
    runtime = Runtime(bundles["gated"].network, opened(bundles["gated"], device), GuSoDrop(), random=GateRandom(1))
    device.log.clear()
    runtime.infer(image())
    segment = ["record", "launch", "record", "download", "record"]
    assert device.log == ["record", "upload", "record", *segment, "wait", *segment, "wait"]


def test_without_graphs_the_stages_of_a_route_are_enqueued_back_to_back(bundles):
    device = DoubleDevice()
    runtime = Runtime(bundles["gated"].network, opened(bundles["gated"], device, graphs=0), Fixed("1011"))
    device.log.clear()
    assert runtime.infer(image()).plan == "chain"
    stages = ["stem", "block0", "block2", "block3", "head0"]
    assert [each for each in device.log if each not in ("record", "upload", "download")] == [*stages, "wait"]


def test_on_an_integrated_device_nothing_is_copied(bundles):
    device = DoubleDevice(integrated=True)
    runtime = Runtime(bundles["gated"].network, opened(bundles["gated"], device), GuSoDrop(), random=GateRandom(1))
    device.log.clear()
    timings = runtime.infer(image()).timings
    assert not {"upload", "download", "copy"} & set(device.log)
    assert timings.device.transfer_ns == 0


def test_a_frame_allocates_nothing(bundles):
    device, graphs = DoubleDevice(), DoubleGraphs()
    runtime = Runtime(bundles["both"].network, opened(bundles["both"], device, graphs), StopAt("1111", 2))
    captured = graphs.captured
    for seed in range(5):
        runtime.infer(image(seed))
    assert device.log.count("allocate") == 1
    assert device.log.count("pinned") == 2
    assert graphs.captured == captured


def test_a_route_is_captured_once_and_flagged_when_that_is_inside_a_frame(bundles):
    graphs = DoubleGraphs()
    runtime = Runtime(bundles["gated"].network, opened(bundles["gated"], capturing=graphs), Fixed("1111"))
    assert graphs.captured == 1
    plans = []
    for route in ("1111", "0000", "1111", "0000"):
        runtime.controller.route = route
        plans.append(runtime.infer(image()).plan)
    assert plans == ["fused", "cold", "fused", "fused"]
    assert graphs.captured == 2


def test_of_the_graphs_the_least_recently_used_goes(bundles):
    device, graphs = DoubleDevice(), DoubleGraphs()
    runtime = Runtime(bundles["gated"].network, opened(bundles["gated"], device, graphs, graphs=2), Fixed("1111"))
    plans = []
    for route in ("0000", "1111", "1010", "0000", "1111"):
        runtime.controller.route = route
        plans.append(runtime.infer(image()).plan)
    assert plans == ["cold", "fused", "cold", "cold", "cold"]
    assert graphs.open == 2
    runtime.close()
    assert (graphs.open, device.closed) == (0, True)


def test_what_cannot_be_captured_runs_stage_by_stage(bundles):
    backend = opened(bundles["gated"], capturing=DoubleGraphs(refuses=True))
    runtime = Runtime(bundles["gated"].network, backend, Fixed("1111"))
    assert runtime.infer(image()).plan == "chain"
    assert backend.describe()["graphs"] == "a stage cannot be captured"


def test_without_memory_for_another_graph_the_route_runs_without_one(bundles):
    runtime = Runtime(
        bundles["gated"].network, opened(bundles["gated"], capturing=DoubleGraphs(limit=1)), Fixed("1111")
    )
    judge = Runtime(bundles["gated"].network, OnnxRuntime(plan="staged").open(bundles["gated"], 1), Fixed("0101"))
    runtime.controller.route = "0101"
    np.testing.assert_allclose(runtime.infer(image()).scores, judge.infer(image()).scores, atol=1e-5)


def test_the_next_segment_starts_before_the_check_and_is_counted_where_nobody_asks_for_it(bundles):
    device = DoubleDevice()
    network = bundles["exits"].network
    controller = StopAt("", 2)
    runtime = Runtime(network, opened(bundles["exits"], device, exits="speculative"), controller)
    # What follows what is learned from what followed.
    assert runtime.infer(image()).timings.device.wasted_stages == 0
    device.log.clear()
    assert runtime.infer(image()).timings.device.wasted_stages == 0
    asked = [each for each in device.log if each in ("launch", "wait")]
    assert asked == ["launch", "launch", "wait", "launch", "wait", "wait"]
    controller.stop = 0
    wasted = len(network.segment("", network.exit_positions[0], 1).stages) + 1
    assert runtime.infer(image()).timings.device.wasted_stages == wasted


def test_a_device_says_how_long_its_stages_and_copies_took(bundles):
    runtime = Runtime(bundles["exits"].network, opened(bundles["exits"]), StopAt("", 1))
    # On the double a piece of work takes a thousand: a launch and a mark per segment, a copy and a mark per transfer.
    assert runtime.infer(image()).timings.device[:2] == (2 * 2000, 2000 + 2 * 2000)


def test_memory_does_not_overlap_and_is_aligned(bundles):
    for bundle in bundles.values():
        stages = session_stages(bundle)
        plan = plan_memory(bundle.network, stages)
        largest = max(stages[name].output_bytes for name in bundle.network.order)
        spans = [(plan.input.start, plan.input.size), (plan.answers.start, plan.answers.size)]
        spans += [(turn, largest) for turn in plan.turns]
        spans += [(start, largest // 4) for start in plan.kept.values()]
        spans += [(plan.scratch.start, plan.scratch.size)]
        spans.sort()
        for (start, size), (following, _) in pairwise(spans):
            assert start + size <= following
            assert following % ALIGNMENT_BYTES == 0
        assert spans[-1][0] + spans[-1][1] <= plan.size_bytes


def test_no_memory_is_one_sentence(bundles):
    device = DoubleDevice(limit_bytes=1000)
    with pytest.raises(BackendError, match=r"Double has no .* MiB for this network's features: stop other programs"):
        opened(bundles["gated"], device)
    assert device.closed


@pytest.mark.parametrize("call", ["upload", "launch", "download", "wait", "record"])
def test_a_fault_ends_the_run_in_one_sentence_and_holds(bundles, call):
    device = DoubleDevice(break_at=(call, 8))
    runtime = Runtime(bundles["gated"].network, opened(bundles["gated"], device), GuSoDrop(), random=GateRandom(1))

    def run_on() -> None:
        for seed in range(20):
            runtime.infer(image(seed))

    with pytest.raises(DeviceLostError, match=r"Double stopped working \(an illegal memory access was encountered\)"):
        run_on()
    before = list(device.log)
    with pytest.raises(DeviceLostError):
        runtime.infer(image())
    assert device.log == before
    runtime.close()


def test_a_closed_backend_says_so(bundles):
    backend = opened(bundles["gated"])
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="this backend was closed"):
        backend.compile(bundles["gated"].network.policy_segment())


def test_the_reference_and_the_network_share_a_device(bundles):
    backend = opened(bundles["gated"])
    network = bundles["gated"].network
    runtime = Runtime(network, backend, GuSoDrop(), random=GateRandom(3))
    reference = Runtime(network, backend, KeepAll())
    judge = Runtime(network, OnnxRuntime(plan="staged").open(bundles["gated"], 1), KeepAll())
    for seed in range(4):
        runtime.infer(image(seed))
        np.testing.assert_allclose(reference.infer(image(seed)).scores, judge.infer(image(seed)).scores, atol=1e-5)


def test_an_image_that_is_written_over_is_seen(bundles):
    runtime = Runtime(bundles["exits"].network, opened(bundles["exits"]), Confidence(0.999))
    frame = image(0)
    first = runtime.infer(frame).scores
    frame[:] = image(1)
    assert not np.allclose(first, runtime.infer(frame).scores)
