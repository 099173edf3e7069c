"""Networks with exits, and what they are compared with: four recipes for each backbone and data set.

`resnet56-cifar10`: the plain network, trained on its own (the static network of the comparison).
`sdn-resnet56-cifar10`: a Shallow-Deep Network (Kaya et al. 2019), backbone and heads trained together.
`sdn-heads-resnet56-cifar10`: heads alone, trained on the frozen plain network.
`sdn-static-resnet56-cifar10`: the weights of the second, its heads taken away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from export.networks import cifar_resnet, mobilenet, vgg
from export.networks.backbone import Backbone
from export.networks.early_exit import EarlyExitNetwork
from export.training.batches import Batches
from export.training.exits import Curve, ExitWeights, depth_weights, exits_phase, heads_phase, rising_weights
from export.training.loop import run_phase
from export.training.recipe import Networks, Recipe, Report, Workshop, trained
from export.training.recipes.photographs import CIFAR10, CIFAR100, TINY_IMAGENET, Photographs
from export.training.supervised import weight_decay_groups

_BATCH, _QUICK_BATCH = 128, 16
_QUICK_STEPS = 6
_PEAK_RATE = 0.1
_WEIGHT_DECAY = 5e-4
_LABEL_SMOOTHING = 0.05
_HEADS_EPOCHS = 6
# What a network with exits runs with unless it is told otherwise.
_CONTROLLER = "confidence:0.9"
_HEADS_RATE = 3e-3
# A bundle's name has at most 64, and a quick one ends in -quick.
LONGEST_NAME = 58


@dataclass(frozen=True, slots=True)
class Architecture:
    """A backbone `build(classes, size, width)`, the published places of its exits, and how long it is trained:
    `small_epochs` on images of three quarters of their size, `full_epochs` on whole ones, and on whole ones the epochs
    of each further cycle in `again`; `quick_width` is that of a quick try.
    """

    name: str
    build: Callable[[int, int, float], Backbone]
    exits: tuple[int, ...]
    small_epochs: int
    full_epochs: int
    again: tuple[int, ...] = ()
    quick_width: float = 0.125


# Half, for 8 channels: below, torch 2.13's 1x1 convolutions with a stride write beyond their memory when they are
# differentiated on a processor without AVX-512.
RESNET_QUICK_WIDTH = 0.5
RESNET56 = Architecture(
    "resnet56", cifar_resnet.resnet56, cifar_resnet.PUBLISHED_EXITS, 8, 4, quick_width=RESNET_QUICK_WIDTH
)
MOBILENET = Architecture("mobilenet", mobilenet.mobilenet, mobilenet.PUBLISHED_EXITS, 7, 6, again=(8, 4))
VGG16 = Architecture("vgg16", vgg.vgg16, vgg.PUBLISHED_EXITS, 6, 10)


@dataclass(frozen=True, slots=True)
class ExitRecipe(Recipe):
    """A recipe whose exits can be moved: `placed(exits)` is the same with exits behind other blocks (None: it has none
    to move).  The name of what it gives ends in "-exits-1-3-5", and so do its files in a work folder.

    `on(name, images)` is the same recipe, under another name and on other images than its `photographs` (None: it is
    trained from a network).
    """

    placed: Callable[[tuple[int, ...]], ExitRecipe] | None = None
    photographs: Photographs | None = None
    on: Callable[[str, Photographs], ExitRecipe] | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """The recipes of one backbone on one data set."""

    plain: ExitRecipe
    joint: ExitRecipe
    heads: ExitRecipe
    static: ExitRecipe


def family(architecture: Architecture, photographs: Photographs) -> Family:
    """The four recipes of the module's description."""
    name = f"{architecture.name}-{photographs.task}"
    plain = joint_recipe(name, architecture, photographs, (), rising_weights)
    joint = joint_recipe(f"sdn-{name}", architecture, photographs, architecture.exits, rising_weights)
    heads = heads_recipe(f"sdn-heads-{name}", architecture, photographs, architecture.exits, plain)
    return Family(plain, joint, heads, static_recipe(f"sdn-static-{name}", architecture, photographs, joint))


def joint_recipe(
    name: str,
    architecture: Architecture,
    photographs: Photographs,
    exits: tuple[int, ...],
    weights: Callable[[int], ExitWeights],
) -> ExitRecipe:
    """Backbone and heads trained together, first on smaller images, then on whole ones, on one learning-rate curve.

    Further cycles go on from there: the rate rises once more, to half its height before, and falls (Loshchilov and
    Hutter 2017, "SGDR"); it is how a network that was trained too briefly is trained further without being begun again.

    `weights(exits)` says how much each exit counts; without `exits` this is the plain network.
    """
    sizes = photographs.size * 3 // 4, photographs.size
    again = (f"{name}-again-{number}" for number, _ in enumerate(architecture.again, start=1))
    phases = (*(f"{name}-{size}px" for size in sizes), *again)

    def train(networks: Networks, workshop: Workshop, report: Report) -> Mapping[str, str]:
        network = _with_exits(networks)
        examples, digests = photographs.training(workshop)
        optimizer = torch.optim.SGD(weight_decay_groups(network, _WEIGHT_DECAY), _PEAK_RATE, 0.9, nesterov=True)
        batch = _QUICK_BATCH if workshop.quick else _BATCH
        exit_weights = weights(len(exits) + 1)

        def steps(epochs: int) -> int:
            return _QUICK_STEPS if workshop.quick else epochs * (len(examples) // batch)

        def risen(position: float) -> Tensor:
            return exit_weights(1.0)

        small, full = steps(architecture.small_epochs), steps(architecture.full_epochs)
        parts: list[tuple[int, Curve, ExitWeights]] = [
            (sizes[0], Curve(_PEAK_RATE, small, 0, small + full), exit_weights),
            (sizes[1], Curve(_PEAK_RATE, full, small, small + full), exit_weights),
        ]
        for number, count in enumerate(map(steps, architecture.again), start=1):
            parts.append((sizes[1], Curve(_PEAK_RATE / 2**number, count, 0, count), risen))
        for phase, (size, curve, counts) in zip(phases, parts, strict=True):
            batches = Batches(examples, batch, workshop.seed, phase, size, photographs.augmentation)
            run_phase(
                exits_phase(network, optimizer, batches, curve, weights=counts, label_smoothing=_LABEL_SMOOTHING),
                workshop.work,
                report,
            )
        return digests

    def placed(chosen: tuple[int, ...]) -> ExitRecipe:
        return joint_recipe(placed_name(name, chosen), architecture, photographs, chosen, weights)

    def on(name: str, other: Photographs) -> ExitRecipe:
        return joint_recipe(name, architecture, other, exits, weights)

    recipe = _recipe(name, architecture, photographs, exits, phases, train, placed if exits else None)
    return replace(recipe, photographs=photographs, on=on)


def heads_recipe(
    name: str, architecture: Architecture, photographs: Photographs, exits: tuple[int, ...], plain: Recipe
) -> ExitRecipe:
    """Heads trained on the backbone of `plain`, which stays as it is to the last bit."""

    def train(networks: Networks, workshop: Workshop, report: Report) -> Mapping[str, str]:
        network = _with_exits(networks)
        frozen = _with_exits(trained(plain, workshop, report).networks).backbone
        network.backbone.load_state_dict(frozen.state_dict())
        examples, digests = photographs.training(workshop)
        batch = _QUICK_BATCH if workshop.quick else _BATCH
        batches = Batches(examples, batch, workshop.seed, name, photographs.size, photographs.augmentation)
        steps = _QUICK_STEPS if workshop.quick else _HEADS_EPOCHS * batches.steps_per_epoch
        adam = torch.optim.Adam(network.heads.parameters(), _HEADS_RATE)
        run_phase(heads_phase(network, adam, batches, Curve(_HEADS_RATE, steps, 0, steps)), workshop.work, report)
        return digests

    def placed(chosen: tuple[int, ...]) -> ExitRecipe:
        return heads_recipe(placed_name(name, chosen), architecture, photographs, chosen, plain)

    return _recipe(name, architecture, photographs, exits, (*plain.phases, name), train, placed)


def static_recipe(name: str, architecture: Architecture, photographs: Photographs, joint: Recipe) -> ExitRecipe:
    """The network of `joint` without its internal exits."""

    def train(networks: Networks, workshop: Workshop, report: Report) -> Mapping[str, str]:
        source = trained(joint, workshop, report)
        _with_exits(networks).backbone.load_state_dict(_with_exits(source.networks).backbone.state_dict())
        return source.data_digests

    return _recipe(name, architecture, photographs, (), joint.phases, train, None)


def _recipe(
    name: str,
    architecture: Architecture,
    photographs: Photographs,
    exits: tuple[int, ...],
    phases: tuple[str, ...],
    train: Callable[[Networks, Workshop, Report], Mapping[str, str]],
    placed: Callable[[tuple[int, ...]], ExitRecipe] | None,
) -> ExitRecipe:
    def build(seed: int, quick: bool) -> Networks:
        # torch initialises from its global generator: seeded here, and given back as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            width = architecture.quick_width if quick else 1.0
            backbone = architecture.build(len(photographs.classes), photographs.size, width)
            network = EarlyExitNetwork(backbone, exits)
        return Networks(network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]

    return ExitRecipe(
        name=name,
        bundle=name,
        task=photographs.task,
        classes=photographs.classes,
        controller=_CONTROLLER if exits else "all",
        draws=1,
        needs=photographs.needs,
        phases=phases,
        build=build,
        train=train,
        training_images=photographs.training_images,
        test=photographs.test,
        rendered_test=None,
        placed=placed,
    )


def _with_exits(networks: Networks) -> EarlyExitNetwork:
    assert isinstance(networks.network, EarlyExitNetwork)
    return networks.network


def placed_name(name: str, exits: tuple[int, ...]) -> str:
    """The name of a recipe whose exits were moved.

    Raises:
        ValueError: it is too long to name a bundle.
    """
    placed = f"{name}-exits-{'-'.join(map(str, exits))}"
    if len(placed) > LONGEST_NAME:
        raise ValueError(f"{len(exits)} exits are too many for a name of {LONGEST_NAME} letters: choose fewer")
    return placed


resnet56_cifar10 = family(RESNET56, CIFAR10)
resnet56_cifar100 = family(RESNET56, CIFAR100)
resnet56_tiny_imagenet = family(RESNET56, TINY_IMAGENET)
mobilenet_cifar10 = family(MOBILENET, CIFAR10)
mobilenet_cifar100 = family(MOBILENET, CIFAR100)
mobilenet_tiny_imagenet = family(MOBILENET, TINY_IMAGENET)
vgg16_cifar10 = family(VGG16, CIFAR10)
vgg16_cifar100 = family(VGG16, CIFAR100)
vgg16_tiny_imagenet = family(VGG16, TINY_IMAGENET)

# Smaller static networks, to hold beside networks with exits that are as fast on average.
RESNET20 = Architecture("resnet20", cifar_resnet.resnet20, (), 8, 4, quick_width=RESNET_QUICK_WIDTH)
HALF_MOBILENET = Architecture("half-mobilenet", mobilenet.half_mobilenet, (), 7, 6)
resnet20_cifar10 = joint_recipe("resnet20-cifar10", RESNET20, CIFAR10, (), rising_weights)
resnet20_cifar100 = joint_recipe("resnet20-cifar100", RESNET20, CIFAR100, (), rising_weights)
half_mobilenet_cifar10 = joint_recipe("half-mobilenet-cifar10", HALF_MOBILENET, CIFAR10, (), rising_weights)
half_mobilenet_cifar100 = joint_recipe("half-mobilenet-cifar100", HALF_MOBILENET, CIFAR100, (), rising_weights)

# Patience counts exits that agree, so it wants many: one behind every block but the last.
pabee_resnet56_cifar10 = replace(
    joint_recipe("pabee-resnet56-cifar10", RESNET56, CIFAR10, tuple(range(26)), depth_weights),
    controller="patience:6",
)
