"""Gates decided one by one, by the likeliest route, and together with exits."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scripted import IMAGE, Scripted, expected_trunk, staged
from toys import decided_bundle, image

from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import open_bundle
from edge.controllers.blockdrop import BlockDrop
from edge.controllers.composed import Composed
from edge.controllers.confidence import Confidence
from edge.controllers.constant import Fixed, KeepAll
from edge.controllers.gusodrop import GuSoDrop
from edge.controllers.patience import Patience
from edge.controllers.skipnet import SkipNet
from edge.randomness import GateRandom
from edge.runtime import FrameError, Runtime

EXITS = (2, 4)
HEADS = {"head0": [1.0, 0.0], "head1": [0.0, 1.0]}


@pytest.mark.parametrize("decided", [(1, 2, 3, 4), (2, 4), (3,)], ids=str)
def test_skipnet_asks_each_gate_network_on_the_features_before_its_block(decided: tuple[int, ...]) -> None:
    network = staged(EXITS, gated=True, decided=decided)
    for keeps in product((0.1, 0.5, 0.9), repeat=len(decided)):
        keep = dict(zip(decided, keeps, strict=True))
        backend = Scripted({**HEADS, **{f"gate{index}": [value] for index, value in keep.items()}})
        result = Runtime(network, backend, SkipNet()).infer(IMAGE)
        route = "".join("1" if keep.get(index, 1.0) > 0.5 else "0" for index in range(1, 5))
        assert (result.route, result.exit, result.plan) == (route, 1, "fused")
        expected = expected_trunk(route, 4)
        asked = [each for each in backend.ran if each.startswith("gate")]
        assert [each for each in backend.ran if each not in asked] == [*expected, "head1"]
        assert asked == [f"gate{index}" for index in decided]
        for index in decided:
            before = [each for each in backend.ran[: backend.ran.index(f"gate{index}")] if each not in asked]
            assert before == expected_trunk(route, index - 1)


def test_skipnet_stops_at_an_exit_before_the_gate_that_reads_the_same() -> None:
    backend = Scripted({"head0": [9.0, 0.0], "head1": [0.0, 1.0], "gate2": [0.2], "gate3": [0.9]})
    network = staged(EXITS, gated=True, decided=(2, 3))
    result = Runtime(network, backend, Composed([SkipNet(), Confidence(0.9)])).infer(IMAGE)
    assert backend.ran == ["stem", "block1", "gate2", "bypass2", "head0"]
    assert (result.route, result.exit, result.plan) == ("1011", 0, "fused")


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.5])
def test_a_gate_network_that_gives_no_probability_is_an_error_of_the_frame(bad: float) -> None:
    backend = Scripted({**HEADS, "gate2": [bad]})
    with pytest.raises(FrameError, match=r"keep-probability .* of gate 1 is not in"):
        Runtime(staged(EXITS, gated=True, decided=(2,)), backend, SkipNet()).infer(IMAGE)


def test_skipnet_refuses_a_network_without_gate_networks() -> None:
    with pytest.raises(ValueError, match=r"skipnet needs a network with a gate network"):
        SkipNet().attach(staged(EXITS, gated=True), GateRandom())


def test_blockdrop_takes_the_likeliest_route() -> None:
    routes = ["".join(bits) for bits in product("10", repeat=4)]
    for keep in product((0.1, 0.4999, 0.5, 0.9), repeat=4):
        runtime = Runtime(staged(EXITS, gated=True), Scripted({**HEADS, "policy": keep}), BlockDrop())
        chances = [
            np.prod([p if bit == "1" else 1 - p for p, bit in zip(keep, route, strict=True)]) for route in routes
        ]
        assert [runtime.infer(IMAGE).route for _ in range(2)] == [routes[int(np.argmax(chances))]] * 2


def test_gates_and_exits_are_decided_side_by_side() -> None:
    backend = Scripted({**HEADS, "policy": [0.5] * 4})
    runtime = Runtime(staged(EXITS, gated=True), backend, Composed([GuSoDrop(), Confidence(0.7)]), random=GateRandom(1))
    results = [runtime.infer(IMAGE) for _ in range(60)]
    assert {result.exit for result in results} == {0}
    assert len({result.route[:2] for result in results}) == 4
    assert {result.plan for result in results} == {"fused"}


def test_routes_share_the_segments_that_they_have_in_common() -> None:
    backend = Scripted({**HEADS, "policy": [0.5] * 4})
    Runtime(staged(EXITS, gated=True), backend, Composed([GuSoDrop(), Patience(1)]))
    # Of 16 routes: 4 ways to the first exit, 4 from there to the second, and the policy.
    assert len(backend.compiled) == 4 + 4 + 1


def test_two_parts_that_decide_gates_do_not_go_together() -> None:
    with pytest.raises(ValueError, match=r"GuSoDrop and Fixed both decide gates"):
        Composed([GuSoDrop(), Fixed("1111")])
    Composed([GuSoDrop(), KeepAll()])


@pytest.mark.parametrize("plan", ["fused", "staged"])
def test_onnxruntime_runs_gate_networks_as_the_stages_one_by_one(tmp_path, plan: str) -> None:
    routes = set()
    for seed in range(4):
        bundle = open_bundle(decided_bundle(tmp_path / f"{seed}", channels=8, classes=5, size=8, seed=seed))
        network = bundle.network
        opened = OnnxRuntime(plan=plan, cache=False).open(bundle, 1)
        assert opened.describe()["plan"] == plan
        runtime = Runtime(network, opened, SkipNet())
        reference = OnnxRuntime(plan="staged").open(bundle, 1)
        for frame in (image(seed, 8), image(seed, 8) * np.float32([1, 0, 0])[:, None, None]):
            found = runtime.infer(frame)
            routes.add(found.route)
            route, start, features = network.full_route, 0, frame
            for gate in range(1, 4):
                features, scores = reference.compile(network.segment_to_gate(route, start, gate)).run(features)
                route = route[:gate] + str(int(scores[0] > 0.5)) + route[gate + 1 :]
                start = network.gate_positions[gate]
            _, expected = reference.compile(network.segment(route, start, 1)).run(features)
            assert found.route == route
            np.testing.assert_allclose(found.scores, expected, rtol=1e-4, atol=1e-5)
    assert len(routes) > 1
