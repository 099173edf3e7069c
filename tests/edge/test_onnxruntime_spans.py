"""Segments divided into links: nothing is lost, sessions are few, and scores stay what they were."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st

from edge.backends.onnxruntime import fused
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.spans import MEMORY_BYTES, SESSION_BYTES, Spans, divide
from edge.bundle import open_bundle
from edge.network import Exit, Gate, Network, Segment, Stage, StageKind, TensorSpec

MIB = 2**20


def network_of(gates: int, shapes: list[tuple[int, ...]] | None = None) -> Network:
    """A stem and gated blocks, every third with a bypass; block i gives the shape i + 1."""
    shapes = shapes or [(1, 8, 4, 4)] * (gates + 1)

    def stage(stage_id: str, kind: StageKind, shape: tuple[int, ...]) -> Stage:
        return Stage(stage_id, kind, f"{stage_id}.onnx", TensorSpec("x", shape), TensorSpec("y", shape), 0, 0, "")

    blocks = [f"block{index}" for index in range(gates)]
    bypasses = {block: f"bypass{index}" for index, block in enumerate(blocks) if index % 3 == 1}
    order = ("stem", *blocks)
    stages = [stage(name, "block", shape) for name, shape in zip(order, shapes, strict=True)]
    stages += [stage(name, "bypass", shapes[0]) for name in bypasses.values()]
    stages += [
        stage("early", "head", shapes[0]),
        stage("head", "head", shapes[0]),
        stage("policy", "policy", shapes[0]),
    ]
    exits = (Exit(order[len(order) // 2], "early"), Exit(order[-1], "head"))
    stages += [stage(f"gate{index}", "gate", shapes[0]) for index in range(gates)]
    gated = tuple(Gate(block, bypasses.get(block), f"gate{index}") for index, block in enumerate(blocks))
    return Network({stage.id: stage for stage in stages}, order, gated, exits, "policy")


def routes(network: Network) -> list[str]:
    return ["".join(bits) for bits in itertools.product("01", repeat=len(network.gates))]


@given(st.integers(0, 6), st.data())
def test_links_are_the_segment_in_parts(gates: int, data: st.DataObject) -> None:
    network = network_of(gates)
    joints = data.draw(st.sets(st.integers(1, max(gates, 1))).map(sorted).map(tuple))
    route = data.draw(st.text("01", min_size=gates, max_size=gates))
    middle = network.exit_positions[0]
    for start, exit_index in ((0, 0), (0, 1), (middle, 1)):
        segment = network.segment(route, start, exit_index)
        links = Spans(network, joints).links(segment)
        assert tuple(stage for link in links for stage in link.stages) == segment.stages
        assert [link.head for link in links] == [None] * (len(links) - 1) + [segment.head]
        assert all(link.stages and link.continues for link in links[:-1])
        # Where nothing runs before the head, the features that go on are those that came in.
        assert links[-1].continues == (segment.continues and bool(links[-1].stages))
        assert len(links) <= len(joints) + 1


@pytest.mark.parametrize("joints", [(), (2,), (1, 3), (1, 2, 3, 4)])
def test_links_end_in_the_network_of_a_gate(joints: tuple[int, ...]) -> None:
    network = network_of(4)
    for route, start, gate in (("1111", 0, 3), ("0010", 0, 3), ("1010", 2, 2), ("1111", 0, 0)):
        segment = network.segment_to_gate(route, start, gate)
        links = Spans(network, joints).links(segment)
        assert tuple(stage for link in links for stage in link.stages) == segment.stages
        assert [link.head for link in links] == [None] * (len(links) - 1) + [f"gate{gate}"]


def test_a_policy_is_one_link() -> None:
    network = network_of(4)
    (link,) = Spans(network, (2,)).links(network.policy_segment())
    assert (link.stages, link.head, link.continues) == ((), "policy", False)


def sessions(network: Network, spans: Spans) -> int:
    """How many are built for all routes to the last exit, by running through them."""
    last = len(network.exits) - 1
    return len({link for route in routes(network) for link in spans.links(network.segment(route, 0, last))})


@pytest.mark.parametrize("gates", [0, 1, 6])
def test_few_routes_are_not_divided(gates: int) -> None:
    assert divide(network_of(gates), {}).joints == ()


@pytest.mark.parametrize("gates", [8, 9, 11])
def test_sessions_fit_into_memory(gates: int) -> None:
    network = network_of(gates)
    found = sessions(network, divide(network, {}))
    assert found * SESSION_BYTES <= MEMORY_BYTES + SESSION_BYTES


def test_joints_lie_at_the_smallest_tensors() -> None:
    shapes = [(1, 8, 16, 16)] * 9
    shapes[4] = (1, 8, 2, 2)
    assert divide(network_of(8, shapes), {}).joints == (5,)


def test_packed_weights_count_for_every_session() -> None:
    network = network_of(8)
    packed = {f"block{index}": (4 * MIB if index == 7 else 0) for index in range(8)}
    (joint,) = divide(network, {}).joints
    heavy = divide(network, packed).joints
    # The heavy block is in half of its span's sessions: it gets one with at most two other gates.
    assert heavy[-1] >= 6 > joint
    copies = 4 * MIB * 2 ** (len(network.order) - heavy[-1] - 1)
    taken = sessions(network, Spans(network, heavy)) * SESSION_BYTES + copies - 4 * MIB
    assert taken <= MEMORY_BYTES + 8 * SESSION_BYTES


def test_a_network_that_fits_nowhere_is_divided_all_the_same() -> None:
    assert len(divide(network_of(8), {}, memory_bytes=0).joints) > 1


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_scores_do_not_depend_on_joints(precision: str, calibrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = open_bundle(calibrated)
    network = models.network
    whole = OnnxRuntime(precision=precision, cache=False).open(models, threads=1)
    monkeypatch.setattr(fused, "divide", partial(divide, memory_bytes=0))
    divided = OnnxRuntime(precision=precision, cache=False).open(models, threads=1)
    assert whole.describe()["plan"] == divided.describe()["plan"] == "fused"
    image = toys.image(1, size=16)
    for route in routes(network)[::3]:
        for exit_index in range(len(network.exits)):
            segment = network.segment(route, 0, exit_index)
            features, scores = divided.compile(segment).run(image)
            expected_features, expected = whole.compile(segment).run(image)
            np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
            assert (features is None) == (expected_features is None)


def test_segments_share_sessions_while_they_are_held(calibrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "divide", lambda network, packed: Spans(network, (3,)))
    models = open_bundle(calibrated)
    compiler = OnnxRuntime(cache=False).open(models, threads=1).compiler
    assert isinstance(compiler, fused.FusedCompiler)
    segments = [models.network.segment(route, 0, len(models.network.exits) - 1) for route in ("1111", "1110", "0010")]
    first, second, third = (compiler.compile(segment) for segment in segments)
    assert first.before == second.before
    assert second.last is third.last
    assert len(compiler._calls) == 4
    del first, second, third
    assert not compiler._calls


def test_a_segment_of_one_head() -> None:
    network = network_of(2)
    segment = Segment((), "early", True)
    (link,) = Spans(network, (1,)).links(segment)
    assert not link.continues
