"""A network with exits, and one with gates and exits, as bundles: written, read, verified, and run by the runtime."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import Provenance, Task, open_bundle
from edge.controllers.base import Controller
from edge.network import Exit
from edge.runtime import Runtime
from export.networks.backbone import Backbone
from export.networks.cifar_resnet import resnet56
from export.networks.cost import macs
from export.networks.early_exit import EarlyExitNetwork
from export.networks.mobilenet import mobilenet
from export.networks.policy import DecisionNetwork
from export.networks.resnet import GatedResNet
from export.networks.vgg import vgg16
from export.onnx.macs import count
from export.onnx.stages import export_stages, fold_batch_norm, stage_modules
from export.onnx.verify import THRESHOLDS, stored_networks, verify
from export.onnx.write import write_stages

pytestmark = [pytest.mark.torch, pytest.mark.slow]

CLASSES = 10


@dataclass
class StopsAt(Controller):
    """Every frame leaves at the same exit."""

    exit: int

    def wants(self, exit_index):
        return exit_index == self.exit

    def at_exit(self, exit_index, scores):
        return True


def written(folder, network, policy=None):
    return write_stages(
        folder,
        export_stages(network, policy),
        name="tiny",
        task=Task("cifar10", tuple(f"class {index}" for index in range(CLASSES))),
        controller="all",
        provenance=Provenance("edgebench train tiny", 0, {}, {}),
    )


def shortened(backbone, blocks):
    """A backbone with some of its blocks only: the exporter takes seconds a stage."""
    return Backbone(backbone.stem, [backbone.blocks[index] for index in blocks], backbone.head, backbone.size)


# Of each kind of block, of the projection, and of an exit over every kind of map.
NETWORKS = {
    "resnet": lambda: EarlyExitNetwork(shortened(resnet56(CLASSES, width=0.25), (0, 1, 9, 18)), (0, 2)),
    "mobilenet": lambda: EarlyExitNetwork(shortened(mobilenet(CLASSES, width=0.125), (0, 1, 3, 5, 11)), (0, 3)),
    "vgg": lambda: EarlyExitNetwork(
        shortened(vgg16(CLASSES, width=0.125), (0, 1, 2, 3, 4, 6, 7, 9, 10, 12, 13)), (1, 5, 7)
    ),
}


@pytest.fixture(scope="module", params=NETWORKS)
def case(request, lived_in, tmp_path_factory):
    network = lived_in(NETWORKS[request.param](), seed=4)
    return network, written(tmp_path_factory.mktemp("exits") / request.param, network)


@pytest.fixture(scope="module")
def gated(lived_in, tmp_path_factory):
    network = lived_in(EarlyExitNetwork(GatedResNet((8, 16), (1, 1), CLASSES), (0,)), seed=5)
    policy = lived_in(DecisionNetwork(2), seed=6)
    return network, policy, written(tmp_path_factory.mktemp("exits") / "gated", network, policy)


def images(size=32):
    return torch.rand((4, 3, size, size), generator=torch.Generator().manual_seed(3))


def test_the_bundle_has_the_exits_and_no_gates(case):
    network, bundle = case
    read = open_bundle(bundle.folder).network
    assert read.gates == ()
    internal = [Exit(f"block{block}", f"head{number}") for number, block in enumerate(network.exits)]
    assert read.exits == (*internal, Exit(f"block{len(network.backbone.blocks) - 1}", "head"))
    assert len(read.order) == 1 + len(network.backbone.blocks)


def test_macs_to_every_exit_are_those_of_the_modules(case):
    network, bundle = case
    x, trunk = torch.zeros(1, 3, 32, 32), 0
    heads = dict(zip(network.exits, network.heads, strict=True))
    expected = []
    cost, x = macs(network.backbone.stem, x)
    trunk += cost
    for index, block in enumerate(network.backbone.blocks):
        cost, x = macs(block, x)
        trunk += cost
        if index in heads:
            expected.append(trunk + macs(heads[index], x)[0])
    expected.append(trunk + macs(network.backbone.head, x)[0])
    assert [bundle.network.macs("", exit_index) for exit_index in range(len(expected))] == expected


@pytest.mark.parametrize("plan", ["fused", "staged"])
def test_the_bundle_computes_what_it_stores_at_every_exit(case, plan):
    network, bundle = case
    backend = OnnxRuntime(plan=plan).open(bundle, threads=1)
    found = verify(bundle, backend, network, None, images(), [""])
    backend.close()
    assert found.faithful
    assert [difference.what for difference in found.differences] == [f"exit {k}" for k in range(len(network.exits) + 1)]
    assert all(difference.trained < 0.1 for difference in found.differences)


def test_the_runtime_stops_where_the_controller_says(case):
    network, bundle = case
    stored, _ = stored_networks(bundle, network, None)
    with torch.no_grad():
        expected = stored(images()[:1])
    for exit_index, scores in enumerate(expected):
        runtime = Runtime(bundle.network, OnnxRuntime().open(bundle, threads=1), StopsAt(exit_index))
        answer = runtime.infer(images()[:1].numpy())
        runtime.close()
        assert answer.exit == exit_index
        assert answer.route == ""
        np.testing.assert_allclose(answer.scores, scores[0].numpy(), rtol=1e-3, atol=1e-4)


def test_gates_and_exits_are_verified_together(gated):
    network, policy, bundle = gated
    assert len(bundle.network.gates) == 2
    assert len(bundle.network.exits) == 2
    backend = OnnxRuntime(plan="staged").open(bundle, threads=1)
    found = verify(bundle, backend, network, policy, images(), ["11", "00"])
    backend.close()
    assert found.faithful
    whats = [difference.what for difference in found.differences]
    assert whats == ["11 exit 0", "11 exit 1", "00 exit 0", "00 exit 1", "policy"]
    assert [(each.threshold, each.exit) for each in found.leaving] == list(itertools.product(THRESHOLDS, (0, 1)))
    assert sum(each.images for each in found.leaving) == len(THRESHOLDS) * len(images())
    assert {each.agreement for each in found.leaving} <= {1.0, None}


def test_an_exit_with_other_weights_is_found(case):
    """The heads of two exits mixed up, or any exit gone wrong, must show at that exit and no other."""
    network, bundle = case
    backend = OnnxRuntime(plan="staged").open(bundle, threads=1)

    class Wrong:
        def compile(self, segment):
            executable = backend.compile(segment)
            if segment.head == "head1":
                run = executable.run
                executable = type("Shifted", (), {"run": lambda _, x: (lambda out: (out[0], out[1] + 1.0))(run(x))})()
            return executable

    found = verify(bundle, Wrong(), network, None, images(), [""])
    backend.close()
    assert [difference.what for difference in found.differences if difference.stored > 1e-3] == ["exit 1"]


def test_equal_structures_are_exported_once_and_keep_their_own_weights(lived_in, monkeypatch):
    network = lived_in(EarlyExitNetwork(shortened(resnet56(CLASSES, width=0.25), (0, 1, 9, 18)), (0, 1)), seed=7)
    with torch.no_grad():
        # What a fresh network has, and the exporter would leave out.
        network.backbone.blocks[1].body[1].bias.zero_()
        network.heads[0].linear.bias.zero_()
    calls = []
    export = torch.onnx.export
    monkeypatch.setattr(torch.onnx, "export", lambda *args, **options: calls.append(1) or export(*args, **options))
    exported = export_stages(network)
    assert len(exported.models) == 8
    # The second block and the second internal head are as the first.
    assert len(calls) == 6
    modules = stage_modules(fold_batch_norm(network))
    for stage, model in exported.models.items():
        stored = {tensor.name: tensor for tensor in model.graph.initializer}
        for name, parameter in modules[stage].named_parameters():
            found = np.frombuffer(stored[name].raw_data, np.float32)
            np.testing.assert_array_equal(found, parameter.detach().numpy().ravel())
        assert count(model).macs == macs(modules[stage], torch.zeros(boundary(model)))[0]


def boundary(model):
    return [dimension.dim_value for dimension in model.graph.input[0].type.tensor_type.shape.dim]
