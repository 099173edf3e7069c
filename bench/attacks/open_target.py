"""The white-box view of a bundle: the torch networks it was exported from, with the weights that it holds."""

from __future__ import annotations

import shlex

from bench.attacks.target import Target
from edge.bundle import Bundle, BundleError
from export.onnx.verify import stored_networks


def open_target(bundle: Bundle) -> Target:
    """What attacks see of `bundle`; its name is the bundle's, its networks are the target's own copies.

    Raises:
        BundleError: the bundle does not say by which recipe it was trained, or its weights are not that network's.
        PluginError: the recipe is not installed.
    """
    # Imported here: who brings their own networks needs no recipes.
    from bench.cli.train import find_recipe

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
