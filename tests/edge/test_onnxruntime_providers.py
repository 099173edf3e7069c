"""ONNX Runtime's GPU providers: the way that they take, on the processor, and what is said where there are none."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from toys import both_bundle, image

from edge.backends.base import BackendError
from edge.backends.onnxruntime.backend import OnnxRuntime, OpenedOnnxRuntime
from edge.backends.onnxruntime.process import this_process
from edge.backends.onnxruntime.providers import ProviderCompiler
from edge.bundle import open_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return open_bundle(both_bundle(tmp_path_factory.mktemp("bundle") / "both", blocks=3, channels=8))


def test_every_route_and_exit_is_that_of_the_plain_chain(bundle):
    chain = OnnxRuntime(plan="staged").open(bundle, 1)
    stages = {name: bundle.stage_model(name) for name in bundle.network.stages}
    compiler = ProviderCompiler(this_process(), bundle.network, stages, "cpu")
    whole = OpenedOnnxRuntime(this_process(), compiler, "fp32", "", "")
    network = bundle.network
    for route in ("".join(bits) for bits in product("01", repeat=3)):
        found = wanted = image()
        for index, start in enumerate((0, *network.exit_positions[:-1])):
            segment = network.segment(route, start, index)
            found, scores = whole.compile(segment).run(found)
            wanted, right = chain.compile(segment).run(wanted)
            np.testing.assert_allclose(scores, right, atol=1e-5)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt", "nv_tensorrt_rtx"])
def test_a_provider_that_is_missing_is_one_sentence(bundle, provider):
    with pytest.raises(BackendError, match=rf"has no provider {provider} \(\w+\): install onnxruntime-gpu"):
        OnnxRuntime(provider=provider).open(bundle, 1)


def test_an_unknown_provider_is_refused():
    with pytest.raises(ValueError, match="provider='rocm' is unknown: cpu, cuda, tensorrt, nv_tensorrt_rtx"):
        OnnxRuntime(provider="rocm")
