"""What is said of a decision network, against closed forms and brute force over all routes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import toys

from bench.policy import mac_shares, route_entropy_bits, summarise_policy
from edge.bundle import open_bundle


def test_the_entropy_of_a_route_is_that_of_all_routes_enumerated():
    for keep in np.random.default_rng(0).random((20, 5)):
        probabilities = [np.prod(np.where(bits, keep, 1 - keep)) for bits in product((True, False), repeat=5)]
        expected = -sum(p * np.log2(p) for p in probabilities)
        assert route_entropy_bits(keep) == pytest.approx(expected)


def test_a_certain_gate_has_no_entropy():
    np.testing.assert_allclose(route_entropy_bits(np.array([[0.0, 1.0, 0.5]])), [1.0])


def summarised(keep, labels=None):
    labels = [None] * len(keep) if labels is None else labels
    return summarise_policy(np.array(keep), [f"f{index}" for index in range(len(keep))], labels, (0.3, 0.1), 0.02)


def test_what_is_saved_is_the_expectation_over_routes_less_the_policy():
    keep = (0.25, 0.5)
    drawn = np.random.default_rng(1).random((200_000, 2)) < keep
    assert summarised([keep]).saved == pytest.approx(((~drawn) @ (0.3, 0.1)).mean() - 0.02, abs=2e-3)


def test_the_shares_of_macs_are_those_of_the_stages(tmp_path):
    network = open_bundle(toys.both_bundle(tmp_path / "toy", classes=5, size=8)).network
    full = sum(network.stages[stage].macs for stage in (*network.order, network.exits[-1].head))
    gates, policy = mac_shares(network)
    bypassed = [network.stages[gate.bypass].macs if gate.bypass else 0 for gate in network.gates]
    expected = [
        (network.stages[gate.block].macs - bypass) / full for gate, bypass in zip(network.gates, bypassed, strict=True)
    ]
    assert gates == pytest.approx(expected)
    assert policy == pytest.approx(network.stages[network.policy].macs / full)


def test_classes_are_averaged_apart_and_frames_without_a_label_belong_to_none():
    summary = summarised([(0.2, 0.5), (0.4, 0.5), (0.9, 0.9), (0.5, 0.5)], [3, 3, 1, None])
    assert [(each.label, each.frames) for each in summary.classes] == [(1, 1), (3, 2)]
    np.testing.assert_allclose(summary.classes[1].keep, (0.3, 0.5))


def test_the_extremes_are_the_least_and_most_random_frames():
    summary = summarised([(0.1, 0.1), (0.5, 0.5), (0.3, 0.3)])
    assert [frame.name for frame in summary.most_random] == ["f1", "f2", "f0"]
    assert [frame.name for frame in summary.least_random] == ["f0", "f2", "f1"]


def test_nothing_is_said_of_no_frames():
    with pytest.raises(ValueError, match="at least one frame"):
        summarise_policy(np.empty((0, 2)), [], [], (0.3, 0.1), 0.02)
