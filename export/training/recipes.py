"""The recipes of the shipped networks, for German traffic signs at 32 px."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from devices.datasets.gtsrb import CLASSES, read_gtsrb
from devices.renderer import CLASS_NAMES, render_batch
from export.networks.policy import DecisionNetwork
from export.networks.resnet import GatedResNet, resnet18
from export.training.distil import DistilOptions, random_depth_phase
from export.training.examples import Examples
from export.training.gumbel import GumbelOptions, joint_phase
from export.training.loop import Progress, run_phase
from export.training.policy_gradient import PolicyGradientOptions, policy_gradient_phase
from export.training.recalibration import recalibrate, recalibrate_on_routes
from export.training.recipe import Networks, Recipe, Report, Workshop, claim_data, examples_digest, trained
from export.training.supervised import SupervisedOptions, supervised_phase, weight_decay_groups
from export.training.work_file import reading

_RENDERED = 9000
_QUICK_BATCH = 16
# Far from the small numbers that people give as seeds of trainings and of sources.
_RENDERED_TEST_SEED = 1_000_003


def _test(data: Path) -> Examples:
    test = read_gtsrb(data, "test")
    return Examples.from_arrays(test.images, test.labels)


def _rendered_test(count: int) -> Examples:
    return Examples.from_arrays(*render_batch(count, _RENDERED_TEST_SEED))


def _backbone(quick: bool) -> GatedResNet:
    network = GatedResNet((8, 16), (1, 1), CLASSES) if quick else resnet18(CLASSES)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _build_resnet18(seed: int, quick: bool) -> Networks:
    # torch initialises from its global generator: seeded here, and given back as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Networks(_backbone(quick))


def _train_resnet18(networks: Networks, workshop: Workshop, report: Report) -> Mapping[str, str]:
    """Two epochs of real images at 20 px, then real and rendered ones at 32 px, on one learning-rate curve."""
    network, seed, quick = networks.network, workshop.seed, workshop.quick
    options = SupervisedOptions(batch=_QUICK_BATCH) if quick else SupervisedOptions()
    optimizer = torch.optim.SGD(
        weight_decay_groups(network, options.weight_decay), options.peak_rate, options.momentum, nesterov=True
    )
    real, mixed, digests = _traffic_signs(workshop, report)
    first, last = (6, 6) if quick else (2 * (len(real) // options.batch), 760)
    curve = {"first_step": 0, "total_steps": first + last, "seed": seed}
    phase = supervised_phase("20px", network, optimizer, real, size=20, steps=first, options=options, **curve)
    run_phase(phase, workshop.work, report)
    curve["first_step"] = first
    phase = supervised_phase("32px", network, optimizer, mixed, size=32, steps=last, options=options, **curve)
    run_phase(phase, workshop.work, report)
    recalibrate(network, mixed, seed, *((2, _QUICK_BATCH) if quick else (40, 256)))
    return digests


resnet18_gtsrb = Recipe(
    name="resnet18-gtsrb",
    bundle="resnet18",
    task="gtsrb",
    classes=CLASS_NAMES,
    controller="all",
    draws=1,
    needs="the GTSRB training images",
    phases=("20px", "32px"),
    build=_build_resnet18,
    train=_train_resnet18,
    test=_test,
    rendered_test=_rendered_test,
)


def _build_gusodrop(seed: int, quick: bool) -> Networks:
    # The policy comes behind the backbone on the same seed.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = _backbone(quick)
        policy = DecisionNetwork(backbone.gates)
    return Networks(backbone, policy)


def _train_gusodrop(networks: Networks, workshop: Workshop, report: Report) -> Mapping[str, str]:
    """From the trained resnet18: random depth, the policy by reinforcement, then both together; without labels."""
    student, policy, seed, quick = networks.network, networks.policy, workshop.seed, workshop.quick
    assert policy is not None
    teacher = trained(resnet18_gtsrb, workshop, report).networks.network.requires_grad_(False)
    student.load_state_dict(teacher.state_dict())
    _, mixed, digests = _traffic_signs(workshop, report)
    batch = _QUICK_BATCH if quick else 128
    depth_steps, policy_steps, joint_steps = (4, 4, 4) if quick else (420, 80, 240)

    depth = DistilOptions(batch=batch, peak_rate=0.03)
    optimizer: torch.optim.Optimizer = _momentum(weight_decay_groups(student, 5e-4))
    phase = random_depth_phase(student, teacher, optimizer, mixed, steps=depth_steps, seed=seed, options=depth)
    run_phase(phase, workshop.work, report)

    # The statistics that random depth leaves are those of the last few routes.
    batches, recalibrated = (2, _QUICK_BATCH) if quick else (16, 256)
    recalibrate_on_routes(student, policy, mixed, seed, batches, recalibrated)
    reinforcement = PolicyGradientOptions(batch=batch, rate=1e-2, curriculum=0.3)
    optimizer = torch.optim.Adam(policy.parameters(), reinforcement.rate)
    phase = policy_gradient_phase(
        policy, student, optimizer, mixed, steps=policy_steps, seed=seed, options=reinforcement
    )
    run_phase(phase, workshop.work, report)

    joint = GumbelOptions(batch=batch, backbone_rate=0.02, target_saving=0.35)
    optimizer = _momentum([*weight_decay_groups(student, 5e-4), {"params": list(policy.parameters())}])
    phase = joint_phase(policy, student, teacher, optimizer, mixed, steps=joint_steps, seed=seed, options=joint)
    run_phase(phase, workshop.work, report)

    recalibrate_on_routes(student, policy, mixed, seed, 2 if quick else 40, recalibrated)
    return digests


gusodrop_gtsrb = Recipe(
    name="gusodrop-gtsrb",
    bundle="gusodrop",
    task="gtsrb",
    classes=CLASS_NAMES,
    controller="gusodrop",
    draws=5,
    needs="the GTSRB training images",
    phases=(*resnet18_gtsrb.phases, "depth", "policy-gradient", "joint"),
    build=_build_gusodrop,
    train=_train_gusodrop,
    test=_test,
    rendered_test=_rendered_test,
)


def _momentum(groups: list[dict[str, object]]) -> torch.optim.SGD:
    # The phases set the rates at every step.
    return torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=True)


def _traffic_signs(workshop: Workshop, report: Report) -> tuple[Examples, Examples, dict[str, str]]:
    """The real training images; the same with rendered ones behind them; and the digests of both kinds."""
    data = read_gtsrb(workshop.data, "train")
    real = Examples.from_arrays(data.images, data.labels)
    rendered = _rendered(workshop, report)
    digests = {"gtsrb/train": examples_digest(real), "rendered": examples_digest(rendered)}
    claim_data(workshop, digests)
    return real, real.joined(rendered), digests


def _rendered(workshop: Workshop, report: Report) -> Examples:
    """Frames of our own renderer, kept in the work folder: a minute's work."""
    count, seed = 64 if workshop.quick else _RENDERED, workshop.seed + 1
    path = workshop.work / f"rendered-{count}-{seed}.npz"
    if not path.exists():
        began = time.monotonic()
        report(Progress("rendering", 0, count, 0.0, {}))
        images, labels = render_batch(count, seed)
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.savez(file, images=images, labels=labels)
        temporary.replace(path)
        report(Progress("rendering", count, count, time.monotonic() - began, {}))
    damaged = reading(path, "is damaged", "delete it, and the frames are rendered again")
    # Opened here, since np.load leaves a damaged archive open.
    with damaged, path.open("rb") as stored, np.load(stored, allow_pickle=False) as archive:
        return Examples.from_arrays(archive["images"], archive["labels"])
