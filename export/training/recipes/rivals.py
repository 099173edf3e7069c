"""What `gusodrop` has to beat: static networks of the same latency, trained as long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from devices.datasets.gtsrb import CLASSES
from devices.renderer import CLASS_NAMES
from export.networks.resnet import GatedResNet
from export.training.augment import HARD_LIGHT
from export.training.batches import Batches
from export.training.distil import distil_phase
from export.training.loop import run_phase
from export.training.recalibration import recalibrate
from export.training.recipe import Networks, Recipe, Report, Workshop, trained
from export.training.recipes.gusodrop import FINE_TUNING_STEPS, SETTLING_RATES, live_without_blocks
from export.training.recipes.resnet18 import PHASES, backbone, resnet18_gtsrb, train_with_labels
from export.training.recipes.traffic_signs import read_traffic_signs, rendered_test_images, test_images, training_images
from export.training.routes import always
from export.training.supervised import momentum

# Of the routes that take no longer than `gusodrop`, the one that gives the full network's answer most often: for 94.6%
# of the training images in the table of the phase "routes".
ROUTE = "10110110"
_QUICK_ROUTE = "10"
_FIXED_PHASES = "fixed-route", "fixed-route-again"


def _build_fixed_route(seed: int, quick: bool) -> Networks:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Networks(backbone(quick))


def _train_fixed_route(networks: Networks, workshop: Workshop, report: Report) -> Mapping[str, str]:
    """As `gusodrop`, from the same weights at random depth and for as many steps, but on one route only."""
    student, seed, quick = networks.gated, workshop.seed, workshop.quick
    teacher = trained(resnet18_gtsrb, workshop, report).networks.gated.requires_grad_(False)
    student.load_state_dict(teacher.state_dict())
    signs = read_traffic_signs(workshop, report)
    options = live_without_blocks(student, teacher, signs.balanced, workshop, report)
    # Its route is always the same: another image tells more than the same one again.
    options = replace(options, batch=2 * options.batch, routes_per_image=1)
    route = always([kept == "1" for kept in (_QUICK_ROUTE if quick else ROUTE)])
    steps = (4, 4) if quick else (sum(FINE_TUNING_STEPS[:-1]), FINE_TUNING_STEPS[-1])
    for name, count, rate in zip(_FIXED_PHASES, steps, SETTLING_RATES, strict=True):
        phase = distil_phase(
            name,
            student,
            teacher,
            momentum(student),
            signs.balanced,
            route,
            steps=count,
            seed=seed,
            options=replace(options, peak_rate=rate),
        )
        run_phase(phase, workshop.work, report)
    batches = Batches(signs.balanced, 16 if quick else 256, seed, "recalibrate", augmentation=HARD_LIGHT)
    recalibrate(student, batches, route, 2 if quick else 40)
    return signs.digests


fixed_route_gtsrb = Recipe(
    name="fixed-route-gtsrb",
    bundle="fixed-route",
    task="gtsrb",
    classes=CLASS_NAMES,
    controller=f"fixed:{ROUTE}",
    draws=1,
    needs="the GTSRB training images",
    phases=(*resnet18_gtsrb.phases, "depth", *_FIXED_PHASES),
    build=_build_fixed_route,
    train=_train_fixed_route,
    training_images=training_images,
    test=test_images,
    rendered_test=rendered_test_images,
    quick_controller=f"fixed:{_QUICK_ROUTE}",
)


def _build_resnet14(seed: int, quick: bool) -> Networks:
    blocks, widths = ((1,), (8,)) if quick else ((2, 2, 1, 1), (64, 128, 256, 512))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = GatedResNet(widths, blocks, CLASSES)
        return Networks(network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]


def _train_resnet14(networks: Networks, workshop: Workshop, report: Report) -> Mapping[str, str]:
    return train_with_labels(networks, workshop, report, "resnet14-")


resnet14_gtsrb = Recipe(
    name="resnet14-gtsrb",
    bundle="resnet14",
    task="gtsrb",
    classes=CLASS_NAMES,
    controller="all",
    draws=1,
    needs="the GTSRB training images",
    phases=tuple(f"resnet14-{name}" for name in PHASES),
    build=_build_resnet14,
    train=_train_resnet14,
    training_images=training_images,
    test=test_images,
    rendered_test=rendered_test_images,
)
