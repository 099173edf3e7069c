"""`blockdrop-resnet56-cifar10`: BlockDrop (Wu et al. 2018) on ResNet56; a frame takes the policy's likeliest route."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from export.networks.cost import body_shares
from export.networks.early_exit import EarlyExitNetwork
from export.networks.policy import DecisionNetwork
from export.networks.resnet import GatedResNet
from export.training.batches import Batches
from export.training.distil import DistilOptions, distil_phase
from export.training.loop import run_phase
from export.training.policy_gradient import PolicyGradientOptions, policy_gradient_phase
from export.training.recalibration import recalibrate
from export.training.recipe import Networks, Recipe, Report, Workshop, trained
from export.training.recipes.exits import RESNET_QUICK_WIDTH, resnet56_cifar10
from export.training.recipes.photographs import CIFAR10
from export.training.routes import RouteDraw, random_depth
from export.training.supervised import momentum
from export.training.trials import LiveTrials

_NAME = "blockdrop-resnet56-cifar10"
_WIDTHS = (16, 32, 64)
_BLOCKS = (9, 9, 9)
# The published network saves 64% on ResNet110.
_TARGET_SAVING = 0.6


def likeliest(policy: DecisionNetwork) -> RouteDraw:
    """The route that the policy calls most likely: a gate is open from a probability of one half on."""
    policy.eval()

    def draw(images: Tensor, generator: torch.Generator) -> Tensor:
        with torch.no_grad():
            keep: Tensor = policy(images)
        return keep >= 0.5

    return draw


def _backbone(quick: bool) -> GatedResNet:
    width = RESNET_QUICK_WIDTH if quick else 1.0
    network = GatedResNet([round(full * width) for full in _WIDTHS], _BLOCKS, len(CIFAR10.classes))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _build(seed: int, quick: bool) -> Networks:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _backbone(quick)
        return Networks(network, DecisionNetwork(network.gates))


def _train(networks: Networks, workshop: Workshop, report: Report) -> Mapping[str, str]:
    """From the trained plain network: it learns to live without blocks, the policy to choose them by reinforcement, and
    the network once more on the routes that were chosen."""
    student, policy, quick, seed = networks.network, networks.policy, workshop.quick, workshop.seed
    assert isinstance(student, GatedResNet)
    assert policy is not None
    plain = trained(resnet56_cifar10.plain, workshop, report).networks.network
    assert isinstance(plain, EarlyExitNetwork)
    student.load_state_dict(plain.backbone.state_dict())
    teacher = _backbone(quick)
    teacher.load_state_dict(plain.backbone.state_dict())
    teacher.requires_grad_(False)
    images, digests = CIFAR10.training(workshop)
    batch = 16 if quick else 128
    depth_steps, policy_steps, settle_steps = (4, 4, 4) if quick else (1200, 800, 1200)
    recalibration = Batches(images, batch, seed, "recalibrate", augmentation=CIFAR10.augmentation)

    distil = DistilOptions(batch=batch // 2, peak_rate=0.03, augmentation=CIFAR10.augmentation)
    anywhere = random_depth(student.gates, 0.3, 1.0)
    phase = distil_phase(
        f"{_NAME}-depth",
        student,
        teacher,
        momentum(student),
        images,
        anywhere,
        steps=depth_steps,
        seed=seed,
        options=distil,
    )
    run_phase(phase, workshop.work, report)

    recalibrate(student, recalibration, anywhere, 2 if quick else 40)
    reinforcement = PolicyGradientOptions(rate=3e-3, curriculum=0.5, target_saving=_TARGET_SAVING, entropy_bonus=0.01)
    adam = torch.optim.Adam(policy.parameters(), reinforcement.rate)
    # Too many routes for a table.
    trials = LiveTrials(student, Batches(images, batch, seed, "policy-gradient", augmentation=CIFAR10.augmentation))
    shares = body_shares(student)
    phase = policy_gradient_phase(
        "policy-gradient", policy, adam, trials, shares, steps=policy_steps, options=reinforcement
    )
    run_phase(phase, workshop.work, report)

    chosen = likeliest(policy)
    phase = distil_phase(
        f"{_NAME}-settle",
        student,
        teacher,
        momentum(student),
        images,
        chosen,
        steps=settle_steps,
        seed=seed,
        options=distil,
    )
    run_phase(phase, workshop.work, report)
    recalibrate(student, recalibration, chosen, 2 if quick else 40)
    return digests


blockdrop_resnet56_cifar10 = Recipe(
    name=_NAME,
    bundle=_NAME,
    task=CIFAR10.task,
    classes=CIFAR10.classes,
    controller="blockdrop",
    draws=1,
    needs=CIFAR10.needs,
    phases=(*resnet56_cifar10.plain.phases, f"{_NAME}-depth", "policy-gradient", f"{_NAME}-settle"),
    build=_build,
    train=_train,
    training_images=CIFAR10.training_images,
    test=CIFAR10.test,
    rendered_test=None,
)
