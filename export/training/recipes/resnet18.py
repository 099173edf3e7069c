"""`resnet18-gtsrb`: the whole network, with labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from devices.datasets.gtsrb import CLASSES
from devices.renderer import CLASS_NAMES
from export.networks.resnet import GatedResNet, resnet18
from export.training.augment import HARD_LIGHT
from export.training.batches import Batches
from export.training.loop import run_phase
from export.training.recalibration import recalibrate
from export.training.recipe import Networks, Recipe, Report, Workshop
from export.training.recipes.traffic_signs import read_traffic_signs, rendered_test_images, test_images, training_images
from export.training.routes import always
from export.training.supervised import SupervisedOptions, supervised_phase, weight_decay_groups

PHASES = ("20px", "32px", "full-depth")
_QUICK = SupervisedOptions(batch=16)


def backbone(quick: bool) -> GatedResNet:
    """ResNet18, or a narrow network for trying the way through."""
    network = GatedResNet((8, 16), (1, 1), CLASSES) if quick else resnet18(CLASSES)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _build(seed: int, quick: bool) -> Networks:
    # torch initialises from its global generator: seeded here, and given back as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Networks(backbone(quick))


def train_with_labels(networks: Networks, workshop: Workshop, report: Report, prefix: str = "") -> Mapping[str, str]:
    """Two epochs of real images at 20 px, then real and rendered ones at 32 px, on one learning-rate curve, both at
    random depth; then at full depth, in harder light, with the rare classes as often as the others.

    `prefix` comes before the names of the phases, so that several networks can share a work folder.
    """
    network, seed, quick = networks.gated, workshop.seed, workshop.quick
    options = _QUICK if quick else SupervisedOptions()
    optimizer = torch.optim.SGD(
        weight_decay_groups(network, options.weight_decay), options.peak_rate, options.momentum, nesterov=True
    )
    signs = read_traffic_signs(workshop, report)
    small, large, full = (f"{prefix}{name}" for name in PHASES)
    first, second, last = (6, 6, 6) if quick else (2 * (len(signs.real) // options.batch), 760, 500)

    curve = {"first_step": 0, "total_steps": first + second, "seed": seed}
    phase = supervised_phase(small, network, optimizer, signs.real, size=20, steps=first, options=options, **curve)
    run_phase(phase, workshop.work, report)
    curve["first_step"] = first
    phase = supervised_phase(large, network, optimizer, signs.mixed, size=32, steps=second, options=options, **curve)
    run_phase(phase, workshop.work, report)

    options = replace(options, peak_rate=0.05, keep_last=1.0, augmentation=HARD_LIGHT)
    curve = {"first_step": 0, "total_steps": last, "seed": seed}
    phase = supervised_phase(full, network, optimizer, signs.balanced, size=32, steps=last, options=options, **curve)
    run_phase(phase, workshop.work, report)
    count, batch = (2, 16) if quick else (40, 256)
    batches = Batches(signs.balanced, batch, seed, "recalibrate", augmentation=HARD_LIGHT)
    recalibrate(network, batches, always([True] * network.gates), count)
    return signs.digests


resnet18_gtsrb = Recipe(
    name="resnet18-gtsrb",
    bundle="resnet18",
    task="gtsrb",
    classes=CLASS_NAMES,
    controller="all",
    draws=1,
    needs="the GTSRB training images",
    phases=PHASES,
    build=_build,
    train=train_with_labels,
    training_images=training_images,
    test=test_images,
    rendered_test=rendered_test_images,
)
