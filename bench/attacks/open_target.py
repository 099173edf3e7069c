"""The white-box view of a bundle: the torch networks it was exported from, with the weights that it holds."""

from __future__ import annotations

import shlex

import torch
from onnx import numpy_helper

from bench.attacks.target import Target
from bench.recipes import find_recipe
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import Bundle, BundleError
from export.networks.policy import DecisionNetwork
from export.onnx.verify import stored_networks, verify


def open_target(bundle: Bundle) -> Target:
    """What attacks see of `bundle`; its name is the bundle's, its networks are the target's own copies.

    One image is run through the bundle and through torch: what is attacked is what is deployed.

    Raises:
        BundleError: the bundle does not say by which recipe it was trained, its weights are not that network's, or
            torch computes something else with them.
        PluginError: the recipe is not installed.
    """
    recipe_name, quick = _recipe(bundle)
    built = find_recipe(recipe_name).build(bundle.manifest.provenance.seed or 0, quick)
    try:
        network, policy = stored_networks(bundle, built.network, built.policy)
    except (RuntimeError, KeyError, AssertionError) as error:
        raise BundleError(
            f"{bundle.folder} does not hold the weights of recipe {recipe_name} ({error}): export it again with this "
            "version"
        ) from error
    network.requires_grad_(False)
    if policy is not None:
        policy.requires_grad_(False)
        policy.floor = _floor(bundle, policy)
    _, channels, height, width = bundle.manifest.input_shape
    image = torch.rand((1, channels, height, width), generator=torch.Generator().manual_seed(0))
    route = "1" * len(bundle.network.gates)
    found = verify(bundle, OnnxRuntime().open(bundle, 1), network, policy, image, [route])
    if not found.faithful:
        worst = max(found.differences, key=lambda difference: difference.stored)
        raise BundleError(
            f"recipe {recipe_name} no longer computes what {bundle.folder} does ({worst.what} differs by "
            f"{worst.stored:.1%}): train it again with this version"
        )
    return Target(network, policy, bundle.name)


def _recipe(bundle: Bundle) -> tuple[str, bool]:
    """The recipe's name, and whether it was quick, from the command in the manifest."""
    command = bundle.manifest.provenance.command
    words = shlex.split(command)
    if words[:2] != ["edgebench", "train"] or len(words) < 3:
        raise BundleError(
            f"{bundle.folder} was made by {command!r}, and only a bundle of edgebench train can be differentiated: "
            "export it from a training, or build a Target from its torch networks"
        )
    return words[2], "--quick" in words


def _floor(bundle: Bundle, policy: DecisionNetwork) -> float:
    """The lowest keep-probability of the stored policy, the constant that its graph ends with: not a weight, and a
    recipe of today may have another than the one it was trained with."""
    graph = bundle.stage_model("policy").graph
    last = graph.node[-1]
    constants = {weight.name: weight for weight in graph.initializer}
    added = [constants[name] for name in last.input if name in constants]
    return float(numpy_helper.to_array(added[0])) if last.op_type == "Add" and added else policy.floor
