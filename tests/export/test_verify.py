from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from onnx import numpy_helper

from edge.backends.onnxruntime.backend import OnnxRuntime
from export.onnx.verify import THRESHOLDS, TOLERANCE, _leaving, routes_to_verify, stored_networks, verify

pytestmark = pytest.mark.torch

ROUTES = ("11", "01", "10", "00")


@pytest.fixture(scope="module", params=["staged", "fused"])
def backend(request, bundle):
    opened = OnnxRuntime(plan=request.param).open(bundle, threads=1)
    yield opened
    opened.close()


def test_the_bundle_computes_what_it_stores_on_every_route(bundle, backend, network, policy, images):
    found = verify(bundle, backend, network, policy, images, ROUTES)
    assert found.faithful
    assert [difference.what for difference in found.differences] == [*ROUTES, "policy"]
    full = found.differences[0]
    assert full.stored <= 1e-5
    # Narrow weights are not the trained ones, and not far from them.
    assert full.stored < full.trained < 0.05


def test_a_bundle_that_computes_something_else_is_found(bundle, backend, network, policy, images):
    class Shifted:
        def __init__(self, executable):
            self.run = lambda image: (None, executable.run(image)[1] + np.float32(1.0))

    class Wrong:
        def compile(self, segment):
            executable = backend.compile(segment)
            return executable if segment.stages != ("stem", "block1") else Shifted(executable)

    found = verify(bundle, Wrong(), network, policy, images, ROUTES)
    assert not found.faithful
    assert [difference.what for difference in found.differences if difference.stored > TOLERANCE] == ["01"]


def test_other_weights_than_those_exported_show_as_disagreement(bundle, backend, network, policy, images):
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.head.linear.weight.neg_()
    found = verify(bundle, backend, other, policy, images, ["11"])
    assert found.faithful, "the bundle still computes what it stores"
    assert found.differences[0].trained > 0.1
    assert found.differences[0].agreement < 1.0


def test_stored_weights_lie_within_half_a_step_of_the_trained_ones(bundle, models):
    for stage in bundle.network.stages:
        stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in bundle.stage_model(stage).graph.initializer}
        for tensor in models[stage].graph.initializer:
            trained = numpy_helper.to_array(tensor)
            if trained.size:
                step = np.abs(trained).max() / 127
                assert np.abs(stored[tensor.name] - trained).max() <= step / 2 * 1.001


def test_a_bias_that_the_exporter_dropped_is_zero(bundle, network):
    """It drops what is zero everywhere, as the folded batch norms of a fresh network are."""

    class WithoutStemBias:
        folder = bundle.folder

        def stage_model(self, stage):
            model = bundle.stage_model(stage)
            if stage == "stem":
                kept = [tensor for tensor in model.graph.initializer if tensor.name != "1.bias"]
                del model.graph.initializer[:]
                model.graph.initializer.extend(kept)
            return model

    stored, _ = stored_networks(WithoutStemBias(), network, None)
    assert not stored.stem[1].bias.any()
    assert stored.head.linear.bias.any()


def test_images_leave_by_confidence_at_the_first_exit_that_is_sure():
    """Two classes, so that a score of log(p / (1 - p)) beside 0 is a softmax of p."""

    def scores(*confidences):
        sure = torch.tensor(confidences)
        return torch.stack([torch.log(sure / (1 - sure)), torch.zeros(len(sure))], 1)

    trained = [scores(0.6, 0.8, 0.95, 0.6), scores(0.6, 0.6, 0.6, 0.95), scores(0.6, 0.6, 0.6, 0.6)]
    # The second image is no longer sure at the first exit, and the last one is.
    found = [scores(0.6, 0.6, 0.95, 0.95), scores(0.6, 0.8, 0.6, 0.95), scores(0.6, 0.6, 0.6, 0.6)]
    rows = {(each.threshold, each.exit): (each.images, each.agreement) for each in _leaving(found, trained)}
    assert {threshold for threshold, _ in rows} == set(THRESHOLDS)
    assert [rows[0.5, exit_index] for exit_index in range(3)] == [(4, 1.0), (0, None), (0, None)]
    assert [rows[0.7, exit_index] for exit_index in range(3)] == [(2, 0.5), (1, 0.0), (1, 1.0)]
    assert [rows[0.99, exit_index] for exit_index in range(3)] == [(0, None), (0, None), (4, 1.0)]


def test_a_network_without_exits_leaves_nowhere_else(bundle, backend, network, policy, images):
    assert verify(bundle, backend, network, policy, images, ["11"]).leaving == ()


@pytest.mark.parametrize("gates", [1, 2, 8])
def test_routes_to_verify_hold_the_full_one_every_single_drop_and_none(gates):
    routes = routes_to_verify(gates)
    assert len(routes) == len(set(routes))
    assert routes[0] == "1" * gates
    assert {sum(bit == "0" for bit in route) for route in routes[1 : gates + 1]} == {1}
    assert "0" * gates in routes
    assert all(len(route) == gates for route in routes)
