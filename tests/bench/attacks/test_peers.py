"""The same attack by torchattacks 3.5.1 and ART 1.20.1: same network, seed and start, same images."""

from __future__ import annotations

import logging
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from bench.attacks.apgd import APGD
from bench.attacks.fgsm import FGSM
from bench.attacks.momentum import MomentumFGSM
from bench.attacks.pgd import PGD
from bench.attacks.target import Target

torchattacks = pytest.importorskip("torchattacks")
art = pytest.importorskip("art")

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

EPS = Fraction(8, 255)
SEED = 11


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = (nn.Conv2d(3, 8, 3, 2, 1), nn.Tanh(), nn.Conv2d(8, 8, 3, 2, 1), nn.Tanh(), nn.Flatten())
        return nn.Sequential(*layers, nn.Linear(8 * 4 * 4, 5)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def batch(network):
    """(16, 3, 16, 16), labelled as the network answers."""
    images = torch.rand((16, 3, 16, 16), generator=torch.Generator().manual_seed(1))
    return images, network(images).argmax(1)


def ours(attack, network, batch):
    return attack.craft(Target(network), *batch, torch.Generator().manual_seed(SEED)).images


def theirs(attack, batch):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return attack(*batch)


def close(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_fgsm_of_torchattacks(network, batch):
    close(ours(FGSM(EPS), network, batch), theirs(torchattacks.FGSM(network, 8 / 255), batch))


@pytest.mark.parametrize("start", ["random", "image"])
def test_pgd_of_torchattacks(network, batch, start):
    peer = torchattacks.PGD(network, 8 / 255, 2 / 255, 10, random_start=start == "random")
    close(ours(PGD(EPS, start=start), network, batch), theirs(peer, batch))


def test_pgd_in_l2_of_torchattacks(network, batch):
    peer = torchattacks.PGDL2(network, 1.0, 0.2, 10, random_start=True)
    close(ours(PGD(Fraction(1), "l2", step=Fraction(1, 5)), network, batch), theirs(peer, batch))


def test_momentum_of_torchattacks(network, batch):
    peer = torchattacks.MIFGSM(network, 8 / 255, 2 / 255, 10, decay=0.7)
    close(ours(MomentumFGSM(EPS, decay=0.7), network, batch), theirs(peer, batch))


@pytest.mark.parametrize("loss", ["ce", "dlr"])
@pytest.mark.parametrize(("norm", "eps"), [("linf", EPS), ("l2", Fraction(1, 2))])
def test_apgd_of_torchattacks(network, batch, loss, norm, eps):
    """Theirs gives the iterate of the highest loss when asked for it; ours prefers one that fools, so that the two are
    compared where that iterate fools or none does.  (As it comes, theirs gives the last that fooled, else the image.)
    """
    peer = torchattacks.APGD(network, norm.replace("li", "Li").replace("l2", "L2"), float(eps), 25, loss=loss)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        _, highest = peer.perturb(*batch, best_loss=True)
    found = ours(APGD(eps, norm, loss, steps=25), network, batch)
    fooled, highest_fools = (network(images).argmax(1) != batch[1] for images in (found, highest))
    same = fooled == highest_fools
    assert same.float().mean() >= 0.9
    close(found[same], highest[same])


@pytest.fixture(scope="module")
def classifier(network):
    from art.estimators.classification import PyTorchClassifier

    logging.getLogger("art").setLevel(logging.ERROR)
    return PyTorchClassifier(network, nn.CrossEntropyLoss(), (3, 16, 16), 5, clip_values=(0.0, 1.0), device_type="cpu")


def by_art(attack, batch):
    images, labels = batch
    return torch.from_numpy(np.asarray(attack.generate(images.numpy(), labels.numpy())))


def test_fgsm_of_art(network, batch, classifier):
    from art.attacks.evasion import FastGradientMethod

    close(ours(FGSM(EPS), network, batch), by_art(FastGradientMethod(classifier, eps=8 / 255), batch))


def test_pgd_of_art(network, batch, classifier):
    """In l2, ART clips to [0, 1] before it projects, and differs where pixels are at an end of their range."""
    from art.attacks.evasion import ProjectedGradientDescentPyTorch

    options = {"eps_step": 2 / 255, "max_iter": 10, "verbose": False}
    peer = ProjectedGradientDescentPyTorch(classifier, norm=np.inf, eps=8 / 255, **options)
    close(ours(PGD(EPS, start="image"), network, batch), by_art(peer, batch))


def test_momentum_of_art(network, batch, classifier):
    from art.attacks.evasion import MomentumIterativeMethod

    options = {"eps": 8 / 255, "eps_step": 2 / 255, "max_iter": 10, "decay": 1.0, "verbose": False}
    peer = MomentumIterativeMethod(classifier, norm=np.inf, **options)
    close(ours(MomentumFGSM(EPS), network, batch), by_art(peer, batch))
