from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from export.networks import cost
from export.networks.policy import DecisionNetwork
from export.networks.resnet import resnet18
from export.onnx.macs import Cost, count
from export.onnx.stages import fold_batch_norm, stage_modules
from export.onnx.write import describe

pytestmark = pytest.mark.torch


def model(operator, shape, weight, output, **attributes):
    node = helper.make_node(operator, ["x", "w"], ["y"], **attributes)
    graph = helper.make_graph(
        [node, helper.make_node("Relu", ["y"], ["z"])],
        operator,
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.zeros(weight, np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


@settings(deadline=None)
@given(
    groups=st.integers(1, 3),
    per_group=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    kernel=st.tuples(st.sampled_from([1, 3]), st.sampled_from([1, 3, 5])),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    stride=st.integers(1, 2),
)
def test_a_convolution_costs_output_elements_times_kernel_elements(groups, per_group, kernel, size, stride):
    channels_in, channels_out = groups * per_group[0], groups * per_group[1]
    padding = [kernel[0] // 2, kernel[1] // 2] * 2
    after = [(each - 1) // stride + 1 for each in size]
    weight = (channels_out, per_group[0], *kernel)
    convolution = model(
        "Conv",
        (1, channels_in, *size),
        weight,
        (1, channels_out, *after),
        group=groups,
        pads=padding,
        strides=[stride] * 2,
    )
    expected = after[0] * after[1] * channels_out * per_group[0] * kernel[0] * kernel[1]
    assert count(convolution) == Cost(expected, channels_out * per_group[0] * kernel[0] * kernel[1])


@pytest.mark.parametrize(
    ("operator", "left", "right", "output", "attributes"),
    [
        ("MatMul", (4, 5), (5, 7), (4, 7), {}),
        ("MatMul", (2, 4, 5), (5, 7), (2, 4, 7), {}),
        ("Gemm", (4, 5), (7, 5), (4, 7), {"transB": 1}),
        ("Gemm", (5, 4), (5, 7), (4, 7), {"transA": 1}),
    ],
)
def test_a_matrix_product_costs_output_elements_times_the_summed_axis(operator, left, right, output, attributes):
    assert count(model(operator, left, right, output, **attributes)).macs == np.prod(output) * 5


def test_the_count_on_the_graph_is_that_on_the_module(exported, network, policy):
    stages = describe(exported).stages
    for stage, module in stage_modules(network, policy).items():
        assert stages[stage].macs == cost.macs(module, torch.zeros(stages[stage].input.shape))[0], stage


def test_parameters_are_those_of_the_folded_network(models, network, policy):
    folded = stage_modules(fold_batch_norm(network), fold_batch_norm(policy))
    for stage, module in folded.items():
        assert count(models[stage]).parameters == sum(parameter.numel() for parameter in module.parameters()), stage


def test_resnet18_costs_what_the_literature_says():
    block = 2 * 9 * 64 * 64 * 32 * 32  # two 3x3 convolutions; the same at every level
    first_of_level = block // 4 + block // 2 + 64 * 128 * 16 * 16  # half the channels in, and a projection
    expected = 27 * 64 * 32 * 32 + 5 * block + 3 * first_of_level + 512 * 43
    assert expected == 555_439_616
    assert cost.macs(resnet18(), torch.zeros(1, 3, 32, 32))[0] == expected
    assert cost.macs(DecisionNetwork(8), torch.zeros(1, 3, 32, 32))[0] / expected == pytest.approx(0.0023, abs=5e-5)
