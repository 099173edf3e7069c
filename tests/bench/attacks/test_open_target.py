from __future__ import annotations

import pytest
import torch
import toys

from bench.attacks.open_target import open_target
from bench.attacks.target import Target
from bench.attacks.transfer import Transfer
from bench.registry import find, make, names
from bench.spec import SpecError
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import BundleError, open_bundle
from edge.models import model_folder
from export.onnx.verify import TOLERANCE, verify

pytestmark = pytest.mark.torch


def test_a_shipped_model_is_differentiated_as_it_runs():
    bundle = open_bundle(model_folder("gusodrop"))
    target = open_target(bundle)
    backend = OnnxRuntime().open(bundle, 1)
    images = torch.rand((2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    found = verify(bundle, backend, target.network, target.policy, images, ["10110111", "11111111"])
    assert max(difference.trained for difference in found.differences) <= TOLERANCE
    assert {difference.what for difference in found.differences} == {"10110111", "11111111", "policy"}
    assert not any(parameter.requires_grad for parameter in target.network.parameters())


def test_a_network_that_computes_something_else_is_refused(monkeypatch):
    monkeypatch.setattr("bench.attacks.open_target._floor", lambda bundle, policy: 0.3)
    with pytest.raises(BundleError, match=r"gusodrop-gtsrb no longer computes what .* does .policy differs by"):
        open_target(open_bundle(model_folder("gusodrop")))


def test_a_bundle_of_unknown_origin_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"only a bundle of edgebench train can be differentiated"):
        open_target(open_bundle(toys.gated_bundle(tmp_path / "toy")))


def test_every_registered_attack_is_one():
    for name in names("attacks"):
        assert callable(find("attacks", name).craft), name
    assert {"fgsm", "pgd", "mifgsm", "apgd", "square", "transfer"} <= set(names("attacks"))


def test_transfer_looks_at_the_surrogate_alone():
    transfer, spec = make("attacks", "transfer:resnet18,attack=fgsm:4/255%2Cgates=full")
    assert spec == "transfer:resnet18,attack=fgsm:4/255%2Cgates=full"
    images, labels = torch.full((1, 3, 32, 32), 0.5), torch.tensor([0])
    generator = torch.Generator()
    direct, _ = make("attacks", "fgsm:4/255")
    surrogate = open_target(open_bundle(model_folder("resnet18")))
    expected = direct.craft(surrogate, images, labels, generator).images

    def unseen(images):
        raise AssertionError("the target was asked")

    assert torch.equal(transfer.craft(Target(unseen), images, labels, generator).images, expected)
    assert transfer.ball == direct.ball


def test_transfer_refuses_a_wrong_attack_at_once():
    with pytest.raises(SpecError, match="attack of transfer: there is no attack 'pdg': did you mean 'pgd'"):
        make("attacks", "transfer:resnet18,attack=pdg")
    with pytest.raises(SpecError, match="eps is a radius"):
        Transfer("resnet18", "pgd:eps=3")
