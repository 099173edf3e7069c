from __future__ import annotations

import copy

import pytest
import torch

from export.networks.policy import DecisionNetwork
from export.training.examples import Examples
from export.training.routes import always, from_policy, random_depth

pytestmark = pytest.mark.torch


def seeded():
    return torch.Generator().manual_seed(3)


def test_random_depth_draws_every_image_its_own_depth():
    """With independent images the number of kept gates varies by more than one common probability would give."""
    gates = random_depth(8, 0.0, 1.0)(torch.zeros(4000, 3, 8, 8), seeded())
    kept = gates.sum(1).double()
    # Of a uniform probability: every count equally likely, so the variance is (9**2 - 1) / 12.
    assert kept.mean().item() == pytest.approx(4.0, abs=0.15)
    assert kept.var().item() == pytest.approx(80 / 12, abs=0.3)


def test_a_policy_is_drawn_from_with_its_own_probabilities_and_not_changed():
    policy = DecisionNetwork(4)
    torch.nn.init.constant_(policy.linear.bias, -1.0)
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    images = torch.rand(2000, 3, 8, 8, generator=seeded())
    gates = from_policy(policy)(images, seeded())
    expected = 0.1 + 0.8 * torch.sigmoid(torch.tensor(-1.0)).item()
    assert gates.double().mean().item() == pytest.approx(expected, abs=0.02)
    assert all(torch.equal(tensor, before[name]) for name, tensor in policy.state_dict().items())


def test_a_static_route_is_the_same_for_every_image():
    gates = always([True, False, True])(torch.zeros(5, 3, 8, 8), seeded())
    assert gates.tolist() == [[True, False, True]] * 5


def test_gates_of_zero_and_one_mean_the_same_three_ways(network):
    """`forward`, `forward_sparse` and `forward_soft`, in evaluation and, batch norm seeing all images, in training."""
    images = torch.rand(6, 3, 32, 32, generator=seeded())
    for number in range(2**network.gates):
        route = [bool(number >> gate & 1) for gate in range(network.gates)]
        gates = always(route)(images, seeded())
        network.eval()
        with torch.no_grad():
            expected = network(images, route)
            torch.testing.assert_close(network.forward_sparse(images, gates), expected)
            torch.testing.assert_close(network.forward_soft(images, gates.float()), expected, atol=1e-5, rtol=1e-5)


def test_a_projection_sees_every_image_once(network):
    """Its batch norm takes one step per batch, whichever images keep the body."""
    network = copy.deepcopy(network)
    block = next(block for block in network.residual_blocks() if block.has_projection)
    index = network.residual_blocks().index(block)
    norm = block.shortcut[1]
    gates = torch.ones(6, network.gates, dtype=torch.bool)
    gates[:3, index] = False
    before = int(norm.num_batches_tracked)
    network.train().forward_sparse(torch.rand(6, 3, 32, 32, generator=seeded()), gates)
    assert int(norm.num_batches_tracked) == before + 1


def test_rare_classes_are_repeated_and_none_is_lost():
    labels = torch.tensor([0] * 7 + [1] * 2 + [2] * 5)
    images = torch.arange(14, dtype=torch.uint8).view(14, 1, 1, 1).expand(14, 3, 2, 2).contiguous()
    balanced = Examples(images, labels).balanced(5)
    assert balanced.labels.bincount().tolist() == [7, 5, 5]
    assert torch.equal(balanced.images[:14], images)
    assert balanced.images[balanced.labels == 1][:, 0, 0, 0].bincount(minlength=9)[7:].tolist() == [3, 2]
