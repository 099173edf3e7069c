"""`skipnet-resnet56-cifar10`: SkipNet (Wang et al. 2018) on ResNet56; each block's gate looks at its input."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from export.networks.early_exit import EarlyExitNetwork
from export.networks.resnet import GatedResNet
from export.networks.skipnet import SkipNet
from export.training.distil import DistilOptions, distil_phase
from export.training.loop import run_phase
from export.training.recipe import Networks, Recipe, Report, Workshop, trained
from export.training.recipes.exits import RESNET_QUICK_WIDTH, resnet56_cifar10
from export.training.recipes.photographs import CIFAR10
from export.training.skipping import SkippingOptions, own_decisions, skipping_phase
from export.training.supervised import momentum

_NAME = "skipnet-resnet56-cifar10"
_GATES, _SETTLE = f"{_NAME}-gates", f"{_NAME}-settle"
_WIDTHS = (16, 32, 64)
_BLOCKS = (9, 9, 9)
# The published networks save 30% on ResNet38, 48% on ResNet74 and 50% on ResNet110.
_TARGET_SAVING = 0.4


def _widths(quick: bool) -> list[int]:
    return [round(full * (RESNET_QUICK_WIDTH if quick else 1.0)) for full in _WIDTHS]


def _build(seed: int, quick: bool) -> Networks:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SkipNet(_widths(quick), _BLOCKS, len(CIFAR10.classes))
    return Networks(network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]


def _train(networks: Networks, workshop: Workshop, report: Report) -> Mapping[str, str]:
    """From the trained plain network: gates and blocks learn together, then the blocks once more on the routes that the
    gates open, which no longer change but through what they read."""
    network, quick, seed = networks.network, workshop.quick, workshop.seed
    assert isinstance(network, SkipNet)
    plain = trained(resnet56_cifar10.plain, workshop, report).networks.network
    assert isinstance(plain, EarlyExitNetwork)
    weights = plain.backbone.state_dict()
    network.load_state_dict({**network.state_dict(), **weights})
    teacher = GatedResNet(_widths(quick), _BLOCKS, len(CIFAR10.classes)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    teacher.load_state_dict(weights)
    teacher.requires_grad_(False)
    images, digests = CIFAR10.training(workshop)
    batch = 16 if quick else 128
    gate_steps, settle_steps = (4, 4) if quick else (2400, 1200)

    skipping = SkippingOptions(batch=batch, target_saving=_TARGET_SAVING, augmentation=CIFAR10.augmentation)
    backbone = nn.ModuleList([network.stem, network.blocks, network.head])
    phase = skipping_phase(
        _GATES,
        network,
        teacher,
        momentum(backbone),
        torch.optim.Adam(network.block_gates.parameters(), skipping.gate_rate),
        images,
        steps=gate_steps,
        seed=seed,
        options=skipping,
    )
    run_phase(phase, workshop.work, report)

    distil = DistilOptions(batch=batch, peak_rate=0.01, routes_per_image=1, augmentation=CIFAR10.augmentation)
    phase = distil_phase(
        _SETTLE,
        network,
        teacher,
        momentum(backbone),
        images,
        own_decisions(network),
        steps=settle_steps,
        seed=seed,
        options=distil,
    )
    run_phase(phase, workshop.work, report)
    return digests


skipnet_resnet56_cifar10 = Recipe(
    name=_NAME,
    bundle=_NAME,
    task=CIFAR10.task,
    classes=CIFAR10.classes,
    controller="skipnet",
    draws=1,
    needs=CIFAR10.needs,
    phases=(*resnet56_cifar10.plain.phases, _GATES, _SETTLE),
    build=_build,
    train=_train,
    training_images=CIFAR10.training_images,
    test=CIFAR10.test,
    rendered_test=None,
)
