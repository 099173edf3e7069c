"""SkipNet: gates inside the network, in torch, as a bundle, and on the runtime."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import Provenance, Task, open_bundle
from edge.controllers.skipnet import SkipNet as SkipNetController
from edge.runtime import Runtime
from export.networks.skipnet import SkipNet
from export.onnx.stages import export_stages
from export.onnx.verify import stored_networks, verify
from export.onnx.write import write_stages
from export.training.augment import Augmentation
from export.training.examples import Examples
from export.training.skipping import SkippingOptions, own_decisions, skipping_phase

pytestmark = pytest.mark.torch

CLASSES = 10


@pytest.fixture(scope="module")
def network(lived_in):
    """Its gates open for some of the images and close for others."""
    network = lived_in(SkipNet((8, 16), (2, 2), CLASSES), seed=8)
    images = torch.rand((64, 3, 32, 32), generator=torch.Generator().manual_seed(1)) * brightness()
    with torch.no_grad():
        for index in range(network.gates):
            _, keep = network.forward_drawn(images, torch.round)
            network.block_gates[index].keep.bias -= torch.logit(keep[:, index]).median()
    return network


def brightness(count=64):
    return torch.linspace(0.1, 1.0, count).view(-1, 1, 1, 1)


def images(count=12):
    return torch.rand((count, 3, 32, 32), generator=torch.Generator().manual_seed(3)) * brightness(count)


@pytest.fixture(scope="module")
def bundle(network, tmp_path_factory):
    return write_stages(
        tmp_path_factory.mktemp("skipnet") / "tiny",
        export_stages(network),
        name="tiny",
        task=Task("cifar10", tuple(f"class {index}" for index in range(CLASSES))),
        controller="skipnet",
        provenance=Provenance("edgebench train tiny", 0, {}, {}),
    )


@torch.no_grad()
def test_what_is_decided_is_what_runs(network):
    """Running every body and multiplying by 0 or 1 is skipping, and a fresh gate keeps its block."""
    gates = network.decisions(images())
    assert 0 < gates.float().mean() < 1
    scores, keep = network.forward_drawn(images(), torch.round)
    torch.testing.assert_close(keep > 0.5, gates)
    torch.testing.assert_close(scores, network.forward_sparse(images(), gates))
    assert SkipNet((8, 16), (1, 1), CLASSES).eval().decisions(images()).all()


def test_deciding_moves_nothing(network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train()
    network.decisions(images())
    assert network.training
    network.eval()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_every_block_of_the_bundle_has_a_gate_with_a_network_of_its_own(network, bundle):
    read = open_bundle(bundle.folder).network
    assert [(gate.block, gate.bypass, gate.decision) for gate in read.gates] == [
        ("block0", None, "gate0"),
        ("block1", None, "gate1"),
        ("block2", "bypass2", "gate2"),
        ("block3", None, "gate3"),
    ]
    assert {read.stages[f"gate{index}"].kind for index in range(4)} == {"gate"}


@pytest.mark.parametrize("plan", ["fused", "staged"])
def test_the_runtime_skips_what_torch_skips(network, bundle, plan):
    stored, _ = stored_networks(bundle, network, None)
    gates = stored.decisions(images())
    with torch.no_grad():
        expected = stored.forward_sparse(images(), gates)
    runtime = Runtime(bundle.network, OnnxRuntime(plan=plan).open(bundle, threads=1), SkipNetController())
    routes = set()
    for image, opened, scores in zip(images().numpy(), gates, expected, strict=True):
        answer = runtime.infer(image[None])
        assert answer.route == "".join("1" if each else "0" for each in opened)
        np.testing.assert_allclose(answer.scores, scores.numpy(), rtol=1e-3, atol=1e-4)
        routes.add(answer.route)
    runtime.close()
    assert len(routes) > 2


def test_a_bundle_is_verified_gate_by_gate(network, bundle):
    backend = OnnxRuntime(plan="staged").open(bundle, threads=1)

    class Wrong:
        def compile(self, segment):
            executable = backend.compile(segment)
            if segment.head != "gate2":
                return executable
            return type("Shifted", (), {"run": lambda _, x: (lambda out: (out[0], 1.0 - out[1]))(executable.run(x))})()

    found = verify(bundle, backend, network, None, images(), ["1111", "0000"])
    assert [each.what for each in found.differences] == ["1111", "0000", "gate 0", "gate 1", "gate 2", "gate 3"]
    assert found.faithful
    assert all(each.agreement > 0.8 for each in found.differences)
    wrong = verify(bundle, Wrong(), network, None, images(), ["1111"])
    backend.close()
    assert [each.what for each in wrong.differences if each.stored > 1e-2] == ["gate 2"]
    assert {each.what: each.agreement for each in wrong.differences}["gate 2"] < 0.2


def test_gates_learn_to_save_what_is_asked_for():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, teacher = SkipNet((8, 16), (2, 1), CLASSES), SkipNet((8, 16), (2, 1), CLASSES)
    teacher.requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (32, 3, 32, 32), dtype=torch.uint8, generator=generator)
    examples = Examples(pixels, torch.zeros(32, dtype=torch.int64))
    backbone = [each for name, each in network.named_parameters() if not name.startswith("block_gates")]
    options = SkippingOptions(batch=8, target_saving=0.3, gate_rate=0.1, augmentation=Augmentation())
    phase = skipping_phase(
        "gates",
        network,
        teacher,
        torch.optim.SGD(backbone, 0.01),
        torch.optim.Adam(network.block_gates.parameters(), 0.1),
        examples,
        steps=40,
        seed=0,
        options=options,
    )
    savings = [phase.step(index)["saving"] for index in range(phase.steps)]
    assert savings[0] < 0.15
    assert savings[-1] == pytest.approx(0.3, abs=0.08)
    before = network.stem[1].weight.clone()
    own_decisions(network)(images(), generator)
    assert torch.equal(network.stem[1].weight, before)
