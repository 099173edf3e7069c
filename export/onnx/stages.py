"""A torch network as stages: what they are, what each sees, and how they make up the network."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TypeVar

import onnx
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edge.network import Exit, Gate
from export.networks.backbone import Backbone
from export.networks.early_exit import EarlyExitNetwork, StagedNetwork
from export.networks.resnet import BasicBlock, GatedResNet
from export.networks.skipnet import SkipNet
from export.onnx.graphs import export_modules

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


def stage_modules(network: StagedNetwork, policy: nn.Module | None = None) -> dict[str, nn.Module]:
    """The stages by id, first to last: views of the networks that share their parameters.

    "stem"; for every block "block0", "gate0" where a network of its own decides on it, "bypass0" where a gate stands
    there and the shortcut is a projection, and the head of an exit behind it, "head0" for the first exit; the last
    exit's "head"; "policy".
    """
    trunk, heads = _backbone(network), _internal_heads(network)
    stages: dict[str, nn.Module] = {"stem": trunk.stem}
    for index, block in enumerate(trunk.blocks):
        if isinstance(trunk, SkipNet):
            stages[f"gate{index}"] = trunk.block_gates[index]
        stages[f"block{index}"] = block
        if isinstance(trunk, GatedResNet) and isinstance(block, BasicBlock) and block.has_projection:
            stages[f"bypass{index}"] = Bypass(block)
        if index in heads:
            stages[f"head{list(heads).index(index)}"] = heads[index]
    stages["head"] = trunk.head
    if policy is not None:
        stages["policy"] = policy
    return stages


@dataclass(frozen=True, slots=True)
class Layout:
    """How stages make up a network: `order`, `gates` and `exits` are those of `edge.network.Network`."""

    order: tuple[str, ...]
    gates: tuple[Gate, ...]
    exits: tuple[Exit, ...]


def layout(network: StagedNetwork) -> Layout:
    """The stages of `stage_modules` in place: a gate at every block of a `GatedResNet`, none elsewhere."""
    trunk = _backbone(network)
    blocks = [f"block{index}" for index in range(len(trunk.blocks))]
    gates: list[Gate] = []
    if isinstance(trunk, GatedResNet):
        projected = [block.has_projection for block in trunk.residual_blocks()]
        decides = isinstance(trunk, SkipNet)
        gates = [
            Gate(f"block{i}", f"bypass{i}" if has else None, f"gate{i}" if decides else None)
            for i, has in enumerate(projected)
        ]
    exits = [Exit(blocks[index], f"head{number}") for number, index in enumerate(_internal_heads(network))]
    return Layout(("stem", *blocks), tuple(gates), (*exits, Exit(blocks[-1], "head")))


@dataclass(frozen=True, slots=True)
class ExportedStages:
    """ONNX models by stage id, and how they make up a network."""

    models: dict[str, onnx.ModelProto]
    layout: Layout


def export_stages(network: StagedNetwork, policy: nn.Module | None = None) -> ExportedStages:
    """The stages of `stage_modules` as ONNX models: float32, batch 1, input "ID.in" and output "ID.out".

    Batch norm is folded; weights are named after the parameters of the folded stage.  Images are (1, 3, size, size) in
    [0, 1]: normalisation lies inside the stem and the policy.
    """
    network, policy = fold_batch_norm(network), None if policy is None else fold_batch_norm(policy)
    inputs = _stage_inputs(network)
    modules = stage_modules(network, policy)
    return ExportedStages(export_modules(modules, inputs), layout(network))


@torch.no_grad()
def _stage_inputs(network: StagedNetwork) -> dict[str, Tensor]:
    """What each stage sees when a grey image goes through the network."""
    trunk, heads = _backbone(network), list(_internal_heads(network))
    size = network.size if isinstance(network, EarlyExitNetwork) else 32
    image = torch.full((1, 3, size, size), 0.5)
    inputs = {"stem": image, "policy": image}
    features = trunk.stem(image)
    for index, block in enumerate(trunk.blocks):
        inputs[f"gate{index}"] = inputs[f"block{index}"] = inputs[f"bypass{index}"] = features
        features = block(features)
        if index in heads:
            inputs[f"head{heads.index(index)}"] = features
    inputs["head"] = features
    return inputs


def _backbone(network: StagedNetwork) -> Backbone | GatedResNet:
    return network.backbone if isinstance(network, EarlyExitNetwork) else network


def _internal_heads(network: StagedNetwork) -> dict[int, nn.Module]:
    """The heads of all exits but the last, by the index of the block that they stand behind."""
    return dict(zip(network.exits, network.heads, strict=True)) if isinstance(network, EarlyExitNetwork) else {}
