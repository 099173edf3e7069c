from __future__ import annotations

import copy

import pytest
import torch

from export.networks.cost import body_shares
from export.networks.every_route import routes
from export.networks.policy import DecisionNetwork
from export.training.batches import Batches
from export.training.examples import Examples
from export.training.loop import run_phase
from export.training.policy_gradient import PolicyGradientOptions, binary_entropy_bits, policy_gradient_phase
from export.training.trials import LiveTrials, RouteTable, TabledTrials, tabulate_phase

pytestmark = pytest.mark.torch


class AsTheyAre:
    """No augmentation: the images are known beforehand."""

    def __call__(self, images, size, generator):
        return images


@pytest.fixture
def network(network):
    """A copy that is of two minds: scores are centred over a few images, so that blocks change answers."""
    undecided = copy.deepcopy(network).eval()
    linear = next(module for module in undecided.head.modules() if isinstance(module, torch.nn.Linear))
    noise = torch.rand(32, 3, 32, 32, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        linear.bias -= undecided(noise).mean(0)
    return undecided


@pytest.fixture
def examples():
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (12, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return Examples(pixels, torch.zeros(12, dtype=torch.long))


@pytest.fixture
def table(network, examples, tmp_path):
    filled = RouteTable(12, 32, network.gates)
    batches = Batches(examples, 4, 0, "routes", augmentation=AsTheyAre())
    run_phase(tabulate_phase("routes", network, filled, batches), tmp_path, lambda progress: None)
    return filled


def test_a_table_says_of_every_route_what_the_network_says(network, table):
    network.eval()
    images = table.images.float().div(255)
    with torch.no_grad():
        full = network(images).argmax(1)
        for number, route in enumerate(routes(network.gates)):
            agrees = network(images, route.tolist()).argmax(1) == full
            assert torch.equal(table.agrees[:, number], agrees)
    assert not table.agrees.all()


def test_trials_of_a_table_are_those_of_the_network(network, table):
    tabled = TabledTrials(table, 6, seed=1)
    generator = torch.Generator().manual_seed(5)
    for step in range(5):
        trial = tabled[step]
        gates = torch.rand(6, network.gates, generator=generator) < 0.5
        with torch.no_grad():
            expected = network.forward_sparse(trial.images, gates).argmax(1) == network(trial.images).argmax(1)
        assert torch.equal(trial.agrees(gates), expected.float())


def test_live_trials_ask_the_network(network, examples):
    batches = Batches(examples, 4, 0, "live", augmentation=AsTheyAre())
    trial = LiveTrials(network, batches)[2]
    assert torch.equal(trial.images, batches[2][0])
    assert torch.equal(trial.agrees(torch.ones(4, network.gates, dtype=torch.bool)), torch.ones(4))


def test_a_table_that_batches_do_not_fill_is_refused(network, examples):
    with pytest.raises(ValueError, match="does not divide into batches of 5"):
        tabulate_phase("routes", network, RouteTable(12, 32, network.gates), Batches(examples, 5, 0, "routes"))


def test_the_policy_learns_which_block_matters_and_stays_random(network):
    """Only the first gate changes the answer: the policy keeps it, drops another, and keeps its bits of entropy."""
    table = RouteTable(64, 32, network.gates)
    table.images.random_(0, 256, generator=torch.Generator().manual_seed(0))
    table.agrees[:] = routes(network.gates)[:, 0]
    torch.manual_seed(0)
    policy = DecisionNetwork(network.gates)
    options = PolicyGradientOptions(
        rate=0.02, curriculum=0.2, routes_per_image=8, target_saving=0.1, entropy_bonus=0.3, target_entropy_bits=0.9
    )
    adam = torch.optim.Adam(policy.parameters(), options.rate)
    trials = TabledTrials(table, 32, seed=0)
    phase = policy_gradient_phase("policy", policy, adam, trials, body_shares(network), steps=150, options=options)
    for step in range(150):
        phase.step(step)
    policy.eval()
    with torch.no_grad():
        keep = policy(table.images.float().div(255))
    assert keep[:, 0].mean() > 0.9
    assert keep[:, 1:].mean() < 0.7
    assert binary_entropy_bits(keep).sum(1).mean() > 0.7
