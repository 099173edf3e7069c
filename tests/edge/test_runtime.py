"""The loop over segments, held against the network's own definition on a backend that writes down what it ran."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pytest

from edge.controllers.base import Controller
from edge.controllers.constant import DropAll, Fixed, KeepAll
from edge.controllers.gusodrop import GuSoDrop
from edge.controllers.random import RandomDepth
from edge.network import Exit, Gate, Network, Segment, Stage, TensorSpec
from edge.randomness import GateRandom
from edge.runtime import FrameError, Runtime

IMAGE = np.zeros((1, 3, 4, 4), np.float32)


def stage(name: str, kind: str, macs: int, outputs: int = 8) -> Stage:
    return Stage(name, kind, f"{name}.onnx", TensorSpec("x", (1, 8)), TensorSpec("y", (1, outputs)), macs, 1, "0" * 64)


def network(exits: tuple[int, ...] = (3,)) -> Network:
    """Stem and three gated blocks; block 2's bypass is a stage, the others' the identity; exits behind blocks."""
    stages = [stage("stem", "stem", 1), stage("policy", "policy", 5, outputs=3), stage("bypass2", "bypass", 7)]
    stages += [stage(f"block{index}", "block", 10 * index) for index in (1, 2, 3)]
    stages += [stage(f"head{index}", "head", 1000 + index) for index in exits]
    return Network(
        {each.id: each for each in stages},
        ("stem", "block1", "block2", "block3"),
        (Gate("block1", None), Gate("block2", "bypass2"), Gate("block3", None)),
        tuple(Exit(f"block{index}", f"head{index}") for index in exits),
        "policy",
    )


@dataclass
class Trace:
    """Features are the names of the stages that ran; the last score counts them."""

    segment: Segment
    trace: list[str]
    keep: tuple[float, ...]
    answer: float
    plan: str = "fused"

    def run(self, features):
        before = [] if isinstance(features, np.ndarray) else features
        after = [*before, *self.segment.stages]
        if self.segment.head == "policy":
            return None, np.array(self.keep, np.float32)
        self.trace[:] = [*after, self.segment.head]
        return after, np.array([self.answer, len(after)], np.float32)


@dataclass
class Tracing:
    keep: tuple[float, ...] = (0.5, 0.5, 0.5)
    answer: float = 0.0
    trace: list[str] = field(default_factory=list)
    compiled: list[Segment] = field(default_factory=list)

    def compile(self, segment: Segment) -> Trace:
        self.compiled.append(segment)
        return Trace(segment, self.trace, self.keep, self.answer)

    def describe(self) -> dict[str, str]:
        return {"name": "tracing"}

    def close(self) -> None:
        pass


class StopAt(Controller):
    """Wants every exit and stops at one."""

    def __init__(self, exit_index: int, route: str) -> None:
        self.exit_index, self.route = exit_index, route

    def gates(self, probabilities):
        return self.route

    def wants(self, exit_index: int) -> bool:
        return True

    def at_exit(self, exit_index: int, scores) -> bool:
        return exit_index == self.exit_index


def expected_stages(route: str, blocks: int) -> list[str]:
    ran = ["stem"]
    for index in range(1, blocks + 1):
        if route[index - 1] == "1":
            ran.append(f"block{index}")
        elif index == 2:
            ran.append("bypass2")
    return ran


ROUTES = ["".join(bits) for bits in product("01", repeat=3)]


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_runs_its_kept_blocks_and_bypasses(route):
    backend = Tracing()
    result = Runtime(network(), backend, Fixed(route)).infer(IMAGE)
    assert backend.trace == [*expected_stages(route, 3), "head3"]
    assert (result.route, result.exit, result.plan) == (route, 0, "fused")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("stop", [0, 1, 2])
def test_every_exit_of_every_route_runs_what_stands_before_it(route, stop):
    backend = Tracing()
    result = Runtime(network((1, 2, 3)), backend, StopAt(stop, route)).infer(IMAGE)
    assert backend.trace == [*expected_stages(route, stop + 1), f"head{stop + 1}"]
    assert result.exit == stop


def test_heads_that_nobody_wants_do_not_run_and_do_not_split_the_segment():
    backend = Tracing()
    Runtime(network((1, 2, 3)), backend, KeepAll()).infer(IMAGE)
    assert [segment.stages for segment in backend.compiled] == [("stem", "block1", "block2", "block3")]


def test_times_add_up():
    timings = Runtime(network((1, 2, 3)), Tracing(), StopAt(1, "111")).infer(IMAGE).timings
    assert timings.policy_ns + timings.decision_ns + timings.segments_ns == timings.inference_ns


def test_a_segment_compiled_inside_the_frame_is_cold_once():
    runtime = Runtime(network(), Tracing(), Fixed("101"))
    runtime.controller.route = "010"
    assert [runtime.infer(IMAGE).plan for _ in range(2)] == ["cold", "fused"]


def test_the_least_recently_used_segment_goes_first():
    runtime = Runtime(network(), Tracing(), Fixed("111"), segments_kept=2)
    plans = []
    for route in ("111", "000", "111", "010", "111", "000"):
        runtime.controller.route = route
        plans.append(runtime.infer(IMAGE).plan)
    assert plans == ["fused", "cold", "fused", "cold", "fused", "cold"]


@pytest.mark.parametrize("answer", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_no_numbers_are_an_error_of_the_frame(answer):
    with pytest.raises(FrameError, match=r"the scores of route 111 at exit 0 are not finite numbers"):
        Runtime(network(), Tracing(answer=answer), KeepAll()).infer(IMAGE)


@pytest.mark.parametrize("bad", [float("nan"), -0.1, 1.1])
def test_probabilities_that_are_none_are_an_error_of_the_frame(bad):
    with pytest.raises(FrameError, match=r"keep-probability .* of gate 1 is not in \[0, 1\]"):
        Runtime(network(), Tracing(keep=(0.5, bad, 0.5)), GuSoDrop()).infer(IMAGE)


def test_a_controller_that_is_wrong_is_no_failed_frame():
    class Wrong(KeepAll):
        def gates(self, probabilities):
            return str(int("x"))

    with pytest.raises(ValueError, match="invalid literal"):
        Runtime(network(), Tracing(), Wrong()).infer(IMAGE)


def test_gusodrop_draws_each_gate_with_the_probability_of_the_policy():
    keep = (0.9, 0.5, 0.1)
    runtime = Runtime(network(), Tracing(keep=keep), GuSoDrop(), random=GateRandom(1))
    gates = np.array([[bit == "1" for bit in runtime.infer(IMAGE).route] for _ in range(20_000)])
    # Five standard errors, and independent gates.
    assert np.abs(gates.mean(0) - keep).max() < 5 * 0.5 / np.sqrt(20_000)
    assert np.abs(np.corrcoef(gates.T) - np.eye(3)).max() < 0.04


def test_all_routes_of_a_random_controller_are_compiled_ahead():
    runtime = Runtime(network(), Tracing(), RandomDepth(0.5), random=GateRandom(2))
    assert {runtime.infer(IMAGE).plan for _ in range(100)} == {"fused"}


def test_a_seed_repeats_the_routes_and_no_seed_does_not():
    def routes(seed):
        random = GateRandom(seed)
        return [random.route([0.5] * 8) for _ in range(50)]

    assert routes(7) == routes(7)
    assert routes(7) != routes(8)
    assert routes(None) != routes(None)


def test_streams_of_one_seed_repeat_and_are_independent():
    def gates(stream):
        random = GateRandom(7, stream)
        return np.array([[bit == "1" for bit in random.route([0.5] * 8)] for _ in range(4000)]).ravel()

    assert (gates(1) == gates(1)).all()
    # Five standard errors of 32,000 draws.
    assert abs(np.corrcoef(gates(0), gates(1))[0, 1]) < 5 / np.sqrt(32_000)


def test_a_seeded_runtime_can_be_started_again_and_another_goes_on():
    for seed, repeats in ((7, True), (None, False)):
        runtime = Runtime(network(), Tracing(), RandomDepth(0.5), random=GateRandom(seed))
        first = [runtime.infer(IMAGE).route for _ in range(40)]
        runtime.restart()
        assert ([runtime.infer(IMAGE).route for _ in range(40)] == first) is repeats


def test_the_buffer_of_random_numbers_never_repeats_itself():
    random = GateRandom(3)
    drawn = {random.route([0.5] * 40) for _ in range(3000)}
    assert len(drawn) == 3000


@pytest.mark.parametrize(
    ("controller", "sentence"),
    [
        (Fixed("11"), r"route '11' does not fit: this network has 3 gates"),
        (Fixed("1x1"), r"route '1x1' does not fit"),
    ],
)
def test_a_route_that_does_not_fit_is_refused_when_the_network_is_known(controller, sentence):
    with pytest.raises(ValueError, match=sentence):
        Runtime(network(), Tracing(), controller)


def test_gusodrop_refuses_a_network_without_a_policy():
    without = network()
    without = Network(without.stages, without.order, without.gates, without.exits, None)
    with pytest.raises(ValueError, match="needs a network with a decision network"):
        Runtime(without, Tracing(), GuSoDrop())


@pytest.mark.parametrize("keep", [-0.1, 1.5, float("nan")])
def test_a_keep_probability_outside_its_range_is_refused(keep):
    with pytest.raises(ValueError, match="keep is a probability from 0 to 1"):
        RandomDepth(keep)


def test_drop_all_leaves_the_shortcuts():
    backend = Tracing()
    Runtime(network(), backend, DropAll()).infer(IMAGE)
    assert backend.trace == ["stem", "bypass2", "head3"]


@pytest.mark.parametrize("route", ROUTES)
def test_the_macs_of_a_path_are_those_of_its_stages(route):
    each = network((1, 2, 3))
    for exit_index in range(3):
        stages = [*expected_stages(route, exit_index + 1), f"head{exit_index + 1}"]
        assert each.macs(route, exit_index) == sum(each.stages[name].macs for name in stages)
