from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from export.training.batches import Batches
from export.training.examples import Examples
from export.training.recalibration import recalibrate
from export.training.routes import always

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def batches():
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Batches(Examples(images, torch.zeros(16)), 4, 1, "recalibrate")


def norms(network):
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def test_statistics_are_plain_means_over_the_batches(network, batches):
    """Of the first norm, whose inputs depend on no other statistics."""
    network, seen = copy.deepcopy(network), []
    norms(network)[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].mean((0, 2, 3))))
    recalibrate(network, batches, always([True] * network.gates), 3)
    assert len(seen) == 3
    torch.testing.assert_close(norms(network)[0].running_mean, torch.stack(seen).mean(0))
    assert not network.training


def test_images_count_only_in_the_blocks_that_they_run(network, batches):
    """Gates that depend on the image: the body of the second block sees the images that keep it, the shortcut all."""
    network, seen = copy.deepcopy(network), []
    block = network.blocks[1]
    block.body.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    gates = torch.ones(4, network.gates, dtype=torch.bool)
    gates[1:, 1] = False
    before = block.body[1].running_mean.clone()
    recalibrate(network, batches, lambda images, generator: gates, 2)
    assert seen == [1, 1]
    assert not torch.equal(block.body[1].running_mean, before)


def test_an_interruption_leaves_the_momenta_and_the_mode_as_they_were(network, batches):
    def unwilling(images, generator):
        raise KeyboardInterrupt

    network = copy.deepcopy(network)
    before = [norm.momentum for norm in norms(network)]
    with pytest.raises(KeyboardInterrupt):
        recalibrate(network, batches, unwilling, 1)
    assert [norm.momentum for norm in norms(network)] == before
    assert not network.training
