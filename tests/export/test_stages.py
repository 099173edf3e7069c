from __future__ import annotations

import itertools

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from export.onnx.stages import fold_batch_norm, stage_modules

pytestmark = pytest.mark.torch

BLOCK = ["Conv", "Relu", "Conv", "Add", "Relu"]
OPERATORS = {
    "stem": ["Mul", "Sub", "Conv", "Relu"],
    "block0": BLOCK,
    "block1": ["Conv", *BLOCK],
    "bypass1": ["Conv", "Relu"],
    "head": ["ReduceMean", "Gemm"],
    "policy": ["Mul", "Sub", "AveragePool", *["Conv", "Relu"] * 4, "ReduceMean", "Gemm", "Sigmoid", "Mul", "Add"],
}


def run(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def test_stages_are_plain_operators_with_batch_norm_folded(models):
    assert {stage: sorted(node.op_type for node in model.graph.node) for stage, model in models.items()} == {
        stage: sorted(operators) for stage, operators in OPERATORS.items()
    }


def test_each_stage_computes_what_its_module_does(models, network, policy, images):
    """The oracle is the network as trained, batch norm unfolded."""
    features = {"stem": images[:1], "policy": images[:1]}
    with torch.no_grad():
        x = network.stem(images[:1])
        for index, block in enumerate(network.residual_blocks()):
            features[f"block{index}"] = features[f"bypass{index}"] = x
            x = block(x)
        features["head"] = x
        for stage, module in stage_modules(network, policy).items():
            inputs = features[stage].contiguous()
            np.testing.assert_allclose(run(models[stage], inputs.numpy()), module(inputs).numpy(), rtol=1e-4, atol=1e-5)


def test_names_are_the_stage_s_own_and_unique(models):
    for stage, model in models.items():
        assert [value.name for value in model.graph.input] == [f"{stage}.in"]
        assert [value.name for value in model.graph.output] == [f"{stage}.out"]
        produced = list(itertools.chain.from_iterable(node.output for node in model.graph.node))
        stored = [tensor.name for tensor in model.graph.initializer]
        assert len({*produced, *stored}) == len(produced) + len(stored)


def test_weights_are_named_after_the_parameters_of_the_folded_stage(models, network, policy):
    for stage, module in stage_modules(fold_batch_norm(network), fold_batch_norm(policy)).items():
        stored = {tensor.name for tensor in models[stage].graph.initializer}
        assert {name for name, _ in module.named_parameters()} <= stored


def test_nothing_of_this_machine_is_written(models):
    for model in models.values():
        assert not model.metadata_props
        assert not model.functions
        assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
        assert b".py" not in model.SerializeToString()


def test_folding_leaves_the_network_as_it_was(network, images):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    folded = fold_batch_norm(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    with torch.no_grad():
        torch.testing.assert_close(folded(images), network(images), rtol=1e-4, atol=1e-4)


def test_a_network_without_a_policy_has_no_policy_stage(network):
    assert list(stage_modules(network)) == ["stem", "block0", "block1", "bypass1", "head"]
