"""Recipes by name, also those whose name says where their exits are or whose answers they learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from bench import registry

if TYPE_CHECKING:
    from export.training.recipe import Recipe

_EXITS = "-exits-"
_SURROGATE, _OF = "surrogate-", "-of-"


class RecipeError(ValueError):
    """A recipe that cannot be had as its name says: one sentence."""


def find_recipe(name: str) -> Recipe:
    """The recipe of this name, which may end in "-exits-1-3-5" where its exits can be moved.

    "surrogate-resnet56-of-sdn-vgg16-cifar10" is the recipe resnet56-cifar10 on the answers of sdn-vgg16-cifar10.

    Raises:
        PluginError: there is no such recipe.
        RecipeError: it has no exits to move, its network cannot have them there, or it cannot learn those answers.
    """
    if name.startswith(_SURROGATE):
        return _surrogate(*name.removeprefix(_SURROGATE).partition(_OF)[::2])
    base, placed, exits = name.partition(_EXITS)
    recipe = registry.find("recipes", base)
    if not placed:
        return cast("Recipe", recipe)
    from export.training.recipes.exits import ExitRecipe

    if not isinstance(recipe, ExitRecipe) or recipe.placed is None:
        raise RecipeError(f"recipe {base} has no exits to move: leave --exits out")
    try:
        moved = recipe.placed(tuple(map(int, exits.split("-"))))
        # Refuses exits that cannot be had now, before any image is read.
        moved.build(0, True)
        return moved
    except ValueError as error:
        raise RecipeError(f"--exits of {base}: {error}") from error


def placed_name(base: str, exits: str) -> str:
    """The name of recipe `base` with its exits moved, `1-3-5`."""
    return base + _EXITS + exits


def is_recipe(name: str) -> bool:
    """Whether a recipe of this name, its exits moved or not, is on offer."""
    if name.startswith(_SURROGATE):
        own, _, target = name.removeprefix(_SURROGATE).partition(_OF)
        return bool(own) and is_recipe(target)
    return name.partition(_EXITS)[0] in registry.names("recipes")


def _surrogate(own: str, target_name: str) -> Recipe:
    from export.training.recipes.exits import ExitRecipe
    from export.training.recipes.surrogate import surrogate_recipe

    if not target_name:
        raise RecipeError(
            f"surrogate-{own} does not say of which network: write surrogate-OWN-of-TARGET, for example "
            "surrogate-resnet56-of-sdn-vgg16-cifar10"
        )
    target = find_recipe(target_name)
    mine = find_recipe(f"{own}-{target.task}")
    if not isinstance(target, ExitRecipe) or not isinstance(mine, ExitRecipe):
        raise RecipeError(f"a surrogate of {target_name} is not on offer: name a network for photographs")
    try:
        return surrogate_recipe(mine, target)
    except ValueError as error:
        raise RecipeError(str(error)) from error
