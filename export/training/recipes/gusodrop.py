"""`gusodrop-gtsrb`: a policy that drops blocks of `resnet18`, learned without labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from devices.renderer import CLASS_NAMES
from export.networks.cost import body_shares
from export.networks.policy import DecisionNetwork
from export.networks.resnet import GatedResNet
from export.training.augment import HARD_LIGHT
from export.training.batches import Batches
from export.training.distil import DistilOptions, distil_phase
from export.training.examples import Examples
from export.training.gumbel import GumbelOptions, joint_phase
from export.training.loop import run_phase
from export.training.policy_gradient import PolicyGradientOptions, policy_gradient_phase
from export.training.recalibration import recalibrate
from export.training.recipe import Networks, Recipe, Report, Workshop, trained
from export.training.recipes.resnet18 import backbone, resnet18_gtsrb
from export.training.recipes.traffic_signs import read_traffic_signs, rendered_test_images, test_images, training_images
from export.training.routes import from_policy, random_depth
from export.training.supervised import momentum
from export.training.trials import RouteTable, TabledTrials, tabulate_phase

# Of the backbone: together with the policy, on its routes, and on those of the finished policy.
FINE_TUNING_STEPS = (200, 400, 300)
# Of the MACs; the blocks that the policy likes to drop take a little more of the time than of the MACs.
TARGET_SAVING = 0.37
# Randomness costs accuracy: more than the three bits that are wanted, for frames differ, and not much more.
TARGET_ENTROPY_BITS = 3.4
REINFORCEMENT = PolicyGradientOptions(
    rate=3e-3,
    curriculum=0.3,
    routes_per_image=16,
    target_saving=TARGET_SAVING,
    disagreement_cost=10.0,
    entropy_bonus=0.2,
    target_entropy_bits=TARGET_ENTROPY_BITS,
    logit_decay=2e-4,
)
# The backbone has learned to live without blocks by then, and the policy what it can drop: nothing is held back, and
# the steps are small.  Measured on hard training frames, on which less can be dropped than on a user's.
_SECOND_REINFORCEMENT = replace(REINFORCEMENT, rate=1e-3, curriculum=0.0, target_saving=0.40, target_entropy_bits=3.1)
SETTLING_RATES = (0.02, 0.01)
POLICY_STEPS = 600


def _build(seed: int, quick: bool) -> Networks:
    # The policy comes behind the backbone on the same seed.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = backbone(quick)
        policy = DecisionNetwork(network.gates)
    return Networks(network, policy)


def _train(networks: Networks, workshop: Workshop, report: Report) -> Mapping[str, str]:
    """From the trained resnet18, without labels: the backbone at random depth; the policy by reinforcement, the
    backbone frozen; both together; the backbone on the routes of that policy; and these two steps once more, since
    each is now used to another."""
    student, policy, seed, quick = networks.gated, networks.policy, workshop.seed, workshop.quick
    assert policy is not None
    teacher = trained(resnet18_gtsrb, workshop, report).networks.gated.requires_grad_(False)
    student.load_state_dict(teacher.state_dict())
    signs = read_traffic_signs(workshop, report)
    images = signs.balanced
    distil = live_without_blocks(student, teacher, images, workshop, report)
    batch = 16 if quick else 128
    joint_steps, *settling_steps = (4, 4, 4) if quick else FINE_TUNING_STEPS
    recalibration = Batches(images, 16 if quick else 256, seed, "recalibrate", augmentation=HARD_LIGHT)

    recalibrate(student, recalibration, from_policy(policy), 2 if quick else 16)
    _reinforce(policy, student, images, REINFORCEMENT, workshop, report)

    joint = GumbelOptions(
        batch=batch,
        backbone_rate=0.02,
        target_saving=TARGET_SAVING,
        target_entropy_bits=TARGET_ENTROPY_BITS,
        logit_decay=2e-5,
        augmentation=HARD_LIGHT,
    )
    adam = torch.optim.Adam(policy.parameters(), joint.policy_rate)
    phase = joint_phase(
        policy, student, teacher, momentum(student), adam, images, steps=joint_steps, seed=seed, options=joint
    )
    run_phase(phase, workshop.work, report)

    routes = from_policy(policy)

    def settle(name: str, rate: float, steps: int) -> None:
        options = replace(distil, peak_rate=rate)
        phase = distil_phase(
            name, student, teacher, momentum(student), images, routes, steps=steps, seed=seed, options=options
        )
        run_phase(phase, workshop.work, report)
        recalibrate(student, recalibration, routes, 2 if quick else 40)

    settle("settle", SETTLING_RATES[0], settling_steps[0])
    _reinforce(policy, student, images, _SECOND_REINFORCEMENT, workshop, report, "-again")
    settle("settle-again", SETTLING_RATES[1], settling_steps[1])
    return signs.digests


def _reinforce(
    policy: DecisionNetwork,
    student: GatedResNet,
    images: Examples,
    options: PolicyGradientOptions,
    workshop: Workshop,
    report: Report,
    suffix: str = "",
) -> None:
    """The phases "routes" and "policy-gradient": the policy learns from a table of every route of the student."""
    quick, seed = workshop.quick, workshop.seed
    table = RouteTable(32 if quick else 2048, 32, student.gates)
    rows = Batches(images, 16 if quick else 32, seed, f"routes{suffix}", augmentation=HARD_LIGHT)
    run_phase(tabulate_phase(f"routes{suffix}", student, table, rows), workshop.work, report)
    adam = torch.optim.Adam(policy.parameters(), options.rate)
    trials = TabledTrials(table, 16 if quick else 128, seed)
    shares, steps = body_shares(student), 4 if quick else POLICY_STEPS
    phase = policy_gradient_phase(
        f"policy-gradient{suffix}", policy, adam, trials, shares, steps=steps, options=options
    )
    run_phase(phase, workshop.work, report)


def live_without_blocks(
    student: GatedResNet, teacher: GatedResNet, images: Examples, workshop: Workshop, report: Report
) -> DistilOptions:
    """The phase "depth", and its options: any block may be missing, before a policy decides which."""
    quick, seed = workshop.quick, workshop.seed
    options = DistilOptions(batch=8 if quick else 64, peak_rate=0.03, augmentation=HARD_LIGHT)
    anywhere = random_depth(student.gates, 0.4, 0.95)
    steps = 4 if quick else 400
    phase = distil_phase(
        "depth", student, teacher, momentum(student), images, anywhere, steps=steps, seed=seed, options=options
    )
    run_phase(phase, workshop.work, report)
    return options


gusodrop_gtsrb = Recipe(
    name="gusodrop-gtsrb",
    bundle="gusodrop",
    task="gtsrb",
    classes=CLASS_NAMES,
    controller="gusodrop",
    draws=5,
    needs="the GTSRB training images",
    phases=(
        *resnet18_gtsrb.phases,
        "depth",
        "routes",
        "policy-gradient",
        "joint",
        "settle",
        "routes-again",
        "policy-gradient-again",
        "settle-again",
    ),
    build=_build,
    train=_train,
    training_images=training_images,
    test=test_images,
    rendered_test=rendered_test_images,
)
