from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from export.networks.early_exit import EarlyExitNetwork
from export.networks.resnet import GatedResNet
from export.networks.vgg import vgg16
from export.training.batches import Batches
from export.training.crop_and_flip import CropAndFlip
from export.training.examples import Examples
from export.training.exits import Curve, depth_weights, exit_losses, exits_phase, heads_phase, rising_weights
from export.training.loop import run_phase
from export.training.routes import always

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def examples():
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (32, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Examples(images, torch.arange(32) % 4)


def batches(examples, phase="phase", batch=16):
    return Batches(examples, batch, 1, phase, 32, CropAndFlip())


def sgd(network):
    return torch.optim.SGD(network.parameters(), 0.1, 0.9)


def test_published_weights_rise_to_their_bounds():
    """Table of the formula min(C, 0.01 + e C / E), worked out by hand."""
    weights = rising_weights(7)
    torch.testing.assert_close(weights(0.0), torch.tensor([*[0.01] * 6, 1.0]))
    torch.testing.assert_close(weights(0.01)[:2], torch.tensor([0.0115, 0.013]))
    torch.testing.assert_close(weights(0.5)[[0, 5]], torch.tensor([0.085, 0.46]))
    torch.testing.assert_close(weights(1.0), torch.tensor([0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0]))


def test_other_numbers_of_exits_have_weights_too():
    torch.testing.assert_close(rising_weights(6)(1.0), torch.tensor([0.15, 0.3, 0.45, 0.6, 0.75, 1.0]))
    torch.testing.assert_close(rising_weights(1)(0.3), torch.ones(1))
    many = rising_weights(27)(1.0)
    assert len(many) == 27
    torch.testing.assert_close(many[[0, 25, 26]], torch.tensor([0.15, 0.9, 1.0]))
    torch.testing.assert_close(depth_weights(3)(0.5), torch.tensor([1, 2, 3]) / 6)


def test_phases_share_one_curve():
    first, second = Curve(0.1, 4, 0, 10), Curve(0.1, 6, 4, 10)
    rates = [curve.rate(index) for curve in (first, second) for index in range(curve.steps)]
    whole = Curve(0.1, 10, 0, 10)
    assert rates == [whole.rate(index) for index in range(10)]
    assert second.position(5) == 1.0
    assert max(rates) == pytest.approx(0.1, rel=0.1)


def test_a_step_follows_the_weighted_sum_of_the_losses(examples):
    torch.manual_seed(0)
    network = EarlyExitNetwork(GatedResNet((8, 16), (1, 1), 4), (0,))
    reference = copy.deepcopy(network)
    drawn, curve = batches(examples), Curve(0.1, 1, 0, 1)
    phase = exits_phase(network, sgd(network), drawn, curve, weights=rising_weights(2), label_smoothing=0.05)
    phase.step(0)

    images, labels, _ = drawn[0]
    internal, last = reference.train()(images)
    loss = 0.15 * F.cross_entropy(internal, labels, label_smoothing=0.05)
    loss = loss + F.cross_entropy(last, labels, label_smoothing=0.05)
    loss.backward()
    for trained, start in zip(network.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(trained, start - curve.rate(0) * start.grad)


def test_losses_are_one_per_exit():
    scores = [torch.randn(5, 3), torch.randn(5, 3)]
    labels = torch.tensor([0, 1, 2, 0, 1])
    losses = exit_losses(scores, labels, 0.0)
    expected = [-each.log_softmax(1)[range(5), labels].mean() for each in scores]
    torch.testing.assert_close(losses, torch.stack(expected))


@pytest.fixture
def with_dropout():
    """Batch norm and dropout in the backbone: what a frozen one must hold still."""
    torch.manual_seed(1)
    return EarlyExitNetwork(vgg16(4, width=0.0625), (1, 9))


def test_training_heads_leaves_the_backbone_as_it_is_to_the_last_bit(with_dropout, examples, tmp_path):
    network = with_dropout
    before = copy.deepcopy(network.state_dict())
    adam = torch.optim.Adam(network.heads.parameters(), 1e-2)
    phase = heads_phase(network.train(), adam, batches(examples), Curve(1e-2, 4, 0, 4))
    run_phase(phase, tmp_path, lambda progress: None)
    after = network.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    weights = {name for name, _ in network.named_parameters() if name.startswith("heads.")}
    assert moved == weights


def test_heads_are_trained_on_what_the_frozen_backbone_gives_at_inference(with_dropout, examples):
    """With dropout on, or batch statistics, the metrics would be those of another network."""
    network, drawn = with_dropout, batches(examples)
    images, labels, _ = drawn[0]
    with torch.no_grad():
        expected = (network.eval()(images)[-1].argmax(1) == labels).float().mean().item()
    adam = torch.optim.Adam(network.heads.parameters(), 1e-2)
    metrics = heads_phase(network.train(), adam, drawn, Curve(1e-2, 4, 0, 4)).step(0)
    assert metrics["accuracy"] == expected


def test_heads_of_a_gated_backbone_learn_on_the_routes_that_are_drawn(examples):
    torch.manual_seed(2)
    network = EarlyExitNetwork(GatedResNet((8, 16), (1, 1), 4), (0,))
    drawn = batches(examples)
    images, labels, _ = drawn[0]
    with torch.no_grad():
        dropped = network.eval()(images, torch.zeros(16, 2).bool())
    adam = torch.optim.Adam(network.heads.parameters(), 1e-2)
    metrics = heads_phase(network, adam, drawn, Curve(1e-2, 4, 0, 4), routes=always([False, False])).step(0)
    assert metrics["loss"] == pytest.approx(exit_losses(dropped[:1], labels, 0.0).item())


def test_a_resumed_phase_ends_with_the_weights_of_a_whole_one(examples, tmp_path, monkeypatch):
    def phase():
        torch.manual_seed(3)
        network = EarlyExitNetwork(GatedResNet((8, 16), (1, 1), 4), (0,))
        curve = Curve(0.1, 4, 0, 4)
        options = {"weights": rising_weights(2), "label_smoothing": 0.05}
        return network, exits_phase(network, sgd(network), batches(examples), curve, **options)

    whole, at_once = phase()
    run_phase(at_once, tmp_path / "whole", lambda progress: None)
    monkeypatch.setattr("export.training.loop.CHECKPOINT_EVERY_S", -1.0)

    def stop(progress):
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_phase(phase()[1], tmp_path / "cut", stop, report_every=1)
    resumed, rest = phase()
    run_phase(rest, tmp_path / "cut", lambda progress: None)
    for left, right in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(left, right)
