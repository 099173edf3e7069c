"""A torch network as stages, and each stage as an ONNX graph of plain operators."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import onnx
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from export.networks.policy import DecisionNetwork
from export.networks.resnet import BasicBlock, GatedResNet

# What ONNX Runtime 1.20 and TensorRT 10 both run in full.
OPSET = 20

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class Bypass(nn.Module):
    """What runs instead of a dropped block whose shortcut is a projection."""

    def __init__(self, block: BasicBlock) -> None:
        super().__init__()
        self.shortcut = block.shortcut

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.shortcut(x))


def fold_batch_norm(module: ModuleT) -> ModuleT:
    """A copy of `module` for inference, with every batch norm folded into the convolution before it.

    The batch norms become identities, so that the parameters keep their names.
    """
    folded = copy.deepcopy(module).eval()
    for layers in [part for part in folded.modules() if isinstance(part, nn.Sequential)]:
        for index in range(1, len(layers)):
            convolution, norm = layers[index - 1], layers[index]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                layers[index - 1] = fuse_conv_bn_eval(convolution, norm)
                layers[index] = nn.Identity()
    return folded


def stage_modules(network: GatedResNet, policy: DecisionNetwork | None = None) -> dict[str, nn.Module]:
    """The stages by id, first to last: views of the networks that share their parameters.

    "stem"; for every block "block0" and, where its shortcut is a projection, "bypass0"; "head"; "policy".
    """
    stages: dict[str, nn.Module] = {"stem": network.stem}
    for index, block in enumerate(network.residual_blocks()):
        stages[f"block{index}"] = block
        if block.has_projection:
            stages[f"bypass{index}"] = Bypass(block)
    stages["head"] = network.head
    if policy is not None:
        stages["policy"] = policy
    return stages


def export_stages(
    network: GatedResNet, policy: DecisionNetwork | None = None, size: int = 32
) -> dict[str, onnx.ModelProto]:
    """The stages of `stage_modules` as ONNX models: float32, batch 1, input "ID.in" and output "ID.out".

    Batch norm is folded; weights are named after the parameters of the folded stage.  Images are (1, 3, size, size) in
    [0, 1]: normalisation lies inside the stem and the policy.
    """
    network, policy = fold_batch_norm(network), None if policy is None else fold_batch_norm(policy)
    image = torch.full((1, 3, size, size), 0.5)
    inputs = {"stem": image, "policy": image}
    with torch.no_grad():
        features = network.stem(image)
        for index, block in enumerate(network.residual_blocks()):
            inputs[f"block{index}"] = inputs[f"bypass{index}"] = features
            features = block.kept(features)
        inputs["head"] = features
    return {stage: _export(stage, module, inputs[stage]) for stage, module in stage_modules(network, policy).items()}


def _export(stage: str, module: nn.Module, x: Tensor) -> onnx.ModelProto:
    with _quiet_exporter():
        program = torch.onnx.export(
            module.eval(),
            (x,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["in"],
            output_names=["out"],
            verbose=False,
        )
    assert program is not None
    return _tidied(stage, program.model_proto)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence about what the exporter would like to have (torchvision) and what it deprecates in itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _tidied(stage: str, exported: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with readable names and nothing else in it: the exporter leaves source lines and paths there."""
    names = {"in": f"{stage}.in", "out": f"{stage}.out"}
    nodes = []
    for index, node in enumerate(exported.graph.node):
        for output in node.output:
            names.setdefault(output, f"{node.op_type}{index}")
        inputs = [names.get(name, name) for name in node.input]
        fresh = onnx.helper.make_node(
            node.op_type, inputs, [names[name] for name in node.output], f"{node.op_type}{index}"
        )
        fresh.attribute.extend(node.attribute)
        nodes.append(fresh)
    graph = onnx.helper.make_graph(
        nodes,
        stage,
        [_boundary(names, exported.graph.input[0])],
        [_boundary(names, exported.graph.output[0])],
        [onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(w), w.name) for w in exported.graph.initializer],
    )
    model = onnx.helper.make_model(
        graph, producer_name="edgebench", ir_version=exported.ir_version, opset_imports=exported.opset_import
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _boundary(names: dict[str, str], value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    shape = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
    return onnx.helper.make_tensor_value_info(names[value.name], onnx.TensorProto.FLOAT, shape)
