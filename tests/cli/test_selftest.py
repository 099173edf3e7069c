"""`edgebench selftest` on ONNX Runtime, and where a backend cannot be had or computes something else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.selftest import deviations, routes_to_test
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import open_bundle


def test_every_path_of_onnx_runtime_is_right(edgebench, everything: Path) -> None:
    ended = edgebench("selftest", "--model", str(everything), "--images", "1", "--json")

    network = open_bundle(everything).network
    found = json.loads(ended.out)
    assert (ended.status, found["failed"]) == (0, [])
    assert found["paths"] == 2 ** len(network.gates) * len(network.exits) + 1
    assert all(each["ratio"] > 0 for each in found["routes"])
    assert found["routes"][0]["route"] == network.full_route


def test_the_text_ends_with_the_verdict(edgebench, gated: Path) -> None:
    ended = edgebench("selftest", "--model", str(gated), "--images", "1")

    assert ended.status == 0
    assert "17 paths beside onnxruntime on the processor, 0 of them off by more than 0.001" in ended.out
    assert ended.out.endswith("passed\n")


def test_what_computes_nothing_is_refused(edgebench, gated: Path) -> None:
    ended = edgebench("selftest", "--model", str(gated), "--backend", "null")

    assert (ended.status, ended.out) == (2, "")
    assert "backend null computes nothing that could be tested" in ended.err


def test_a_wrong_route_is_found(gated: Path) -> None:
    bundle = open_bundle(gated)
    judge = OnnxRuntime(plan="staged").open(bundle, 1)

    class Wrong:
        """Right but for one route, whose last block it leaves out."""

        def compile(self, segment):
            wrong = segment.stages == bundle.network.segment("1011", 0, 0).stages
            return judge.compile(bundle.network.segment("1010", 0, 0) if wrong else segment)

    found = list(deviations(bundle.network, Wrong(), judge, 1))
    assert [each.route for each in found if each.error > 1e-3] == ["1011"]


@pytest.mark.parametrize("gates", [3, 27])
def test_the_routes_that_are_tested(gates: int) -> None:
    class Gates:
        def __init__(self) -> None:
            self.gates = (None,) * gates

    routes = routes_to_test(Gates())
    assert len(set(routes)) == len(routes) == min(256, 2**gates)
    assert {"1" * gates, "0" * gates} <= set(routes)
    assert np.all([len(route) == gates for route in routes])
