"""A surrogate: a network that learns another one's answers, to craft on where that one can only be asked.

The black-box setting of Haque et al., "Dynamic Neural Network is All You Need" (ICCV workshops 2023), section 3.1: the
attacker has the first half of the test images and ten corrupted copies of each, and of the target the class it answers.
What is crafted on the surrogate is tried on images of the second half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from export.networks.early_exit import EarlyExitNetwork
from export.training.corruptions import EVERY
from export.training.examples import Examples
from export.training.loop import Phase, run_phase, step_generator
from export.training.recipe import Networks, Recipe, Report, Workshop, examples_digest, trained
from export.training.recipes.exits import LONGEST_NAME, ExitRecipe
from export.training.recipes.photographs import Photographs

# The target stops at the first exit that is so sure.  The paper does not say where its networks stop.
THRESHOLD = 0.9
_ASKED_AT_ONCE = 250
_QUICK_IMAGES = 64


def surrogate_recipe(own: ExitRecipe, target: ExitRecipe) -> Recipe:
    """`own` trained on the answers of `target`, which is taken from the work folder, or trained there first.

    Raises:
        ValueError: they have other classes, one of them cannot be trained on other images, or the name is too long.
    """
    name = surrogate_name(own.name.removesuffix(f"-{own.task}"), target.name)
    if own.task != target.task:
        raise ValueError(f"{own.name} has other classes than {target.name}: name two networks for the same images")
    photographs, on = own.photographs, own.on
    if photographs is None or on is None:
        raise ValueError(f"{own.name} is trained from another network: name one that is trained from its images")
    asking = f"{name}-asking"

    def train(networks: Networks, workshop: Workshop, report: Report) -> Mapping[str, str]:
        examples = _answered(target, photographs, asking, workshop, report)
        digests = {f"{target.task}/answers of {target.name}": examples_digest(examples)}
        taught = on(name, _given(photographs, examples, digests))
        return taught.train(networks, workshop, report)

    empty = on(name, photographs)
    values = {each.name: getattr(empty, each.name) for each in fields(Recipe)}
    changed: dict[str, Any] = {
        "phases": (*target.phases, asking, *empty.phases),
        "train": train,
        "test": lambda data: second_half(photographs.test(data)),
    }
    return Recipe(**{**values, **changed})


def surrogate_name(own: str, target: str) -> str:
    """The name of the recipe, `surrogate-resnet56-of-sdn-vgg16-cifar10`.

    Raises:
        ValueError: it is too long to name a bundle.
    """
    name = f"surrogate-{own}-of-{target}"
    if len(name) > LONGEST_NAME:
        raise ValueError(f"{name} is longer than {LONGEST_NAME} letters: move fewer exits")
    return name


def first_half(test: Examples) -> Examples:
    """What the attacker has: the images of even index, since test files may come sorted by class."""
    return Examples(test.images[::2], test.labels[::2])


def second_half(test: Examples) -> Examples:
    """What attacks are scored on."""
    return Examples(test.images[1::2], test.labels[1::2])


def with_corruptions(images: Tensor, seed: int, phase: str) -> Tensor:
    """`images` (n, 3, h, w) uint8 and, behind them, ten corrupted copies of each, (11 n, 3, h, w)."""
    copies = [
        corruption(images, step_generator(seed, f"{phase}-corrupting", index)) for index, corruption in enumerate(EVERY)
    ]
    return torch.cat((images, *copies))


def answered_classes(scores: Sequence[Tensor], threshold: float = THRESHOLD) -> Tensor:
    """The class that is answered, (n,): by the first exit whose largest softmax reaches `threshold`, or by the last."""
    answers = scores[-1].argmax(1)
    for each in reversed(scores[:-1]):
        certainty, predicted = each.softmax(1).max(1)
        answers = torch.where(certainty >= threshold, predicted, answers)
    return answers


def _answered(target: ExitRecipe, photographs: Photographs, phase: str, workshop: Workshop, report: Report) -> Examples:
    """The attacker's images with the target's answers for labels; as many as were asked are kept in the work folder."""
    network = trained(target, workshop, report).networks.network
    assert isinstance(network, EarlyExitNetwork)
    network.eval()
    own = first_half(photographs.test(workshop.data)).images
    images = with_corruptions(own[:_QUICK_IMAGES] if workshop.quick else own, workshop.seed, phase)
    digest = examples_digest(Examples(images, torch.zeros(len(images), dtype=torch.int64)))
    answers = _Answers(torch.zeros(len(images), dtype=torch.int64), digest)

    @torch.no_grad()
    def ask(index: int) -> Mapping[str, float]:
        rows = slice(index * _ASKED_AT_ONCE, (index + 1) * _ASKED_AT_ONCE)
        answers.classes[rows] = answered_classes(network(images[rows].float().div_(255.0)))
        return {}

    run_phase(Phase(phase, -(-len(images) // _ASKED_AT_ONCE), {"answers": answers}, ask), workshop.work, report)
    if answers.digest != digest:
        raise ValueError(
            f"{workshop.work} holds answers to other images than {workshop.data}: name the same data, or another work "
            "folder"
        )
    return Examples(images, answers.classes)


class _Answers:
    """What the target answered so far, (n,), and to which images."""

    def __init__(self, classes: Tensor, digest: str) -> None:
        self.classes, self.digest = classes, digest

    def state_dict(self) -> dict[str, Any]:
        return {"classes": self.classes, "digest": self.digest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.classes, self.digest = state["classes"], state["digest"]


@dataclass(frozen=True, slots=True)
class _Given(Photographs):
    """Photographs whose training images are these."""

    examples: Examples
    digests: dict[str, str]

    def training(self, workshop: Workshop) -> tuple[Examples, dict[str, str]]:
        return self.examples, self.digests


def _given(photographs: Photographs, examples: Examples, digests: dict[str, str]) -> Photographs:
    return _Given(
        **{each.name: getattr(photographs, each.name) for each in fields(Photographs)},
        examples=examples,
        digests=digests,
    )
