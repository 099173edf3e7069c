from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from export.training.examples import Examples
from export.training.recalibration import recalibrate, recalibrate_on_routes

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def examples():
    generator = torch.Generator().manual_seed(5)
    return Examples(torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8, generator=generator), torch.zeros(16))


def norms(network):
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def test_statistics_are_plain_means_over_the_batches(network, examples):
    """Of the first norm, whose inputs depend on no other statistics."""
    network, seen = copy.deepcopy(network), []
    norms(network)[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].mean((0, 2, 3))))
    recalibrate(network, examples, seed=1, batches=3, batch=4)
    assert len(seen) == 3
    torch.testing.assert_close(norms(network)[0].running_mean, torch.stack(seen).mean(0))
    assert not network.training


class Unwilling(nn.Module):
    def forward(self, images):
        raise KeyboardInterrupt


def test_an_interruption_leaves_the_momenta_and_the_mode_as_they_were(network, examples):
    network = copy.deepcopy(network)
    before = [norm.momentum for norm in norms(network)]
    with pytest.raises(KeyboardInterrupt):
        recalibrate_on_routes(network, Unwilling(), examples, seed=1, batches=1, batch=4)
    assert [norm.momentum for norm in norms(network)] == before
    assert not network.training
