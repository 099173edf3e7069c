"""`gusodrop-ee-gtsrb`: the finished `gusodrop` with exits, so that gates and exits decide about the same frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from devices.renderer import CLASS_NAMES
from export.networks.early_exit import EarlyExitNetwork
from export.networks.policy import DecisionNetwork
from export.training.augment import HARD_LIGHT
from export.training.batches import Batches
from export.training.exits import Curve, heads_phase
from export.training.loop import run_phase
from export.training.recipe import Networks, Report, Workshop, trained
from export.training.recipes.exits import ExitRecipe, placed_name
from export.training.recipes.gusodrop import gusodrop_gtsrb
from export.training.recipes.resnet18 import backbone
from export.training.recipes.traffic_signs import read_traffic_signs, rendered_test_images, test_images, training_images
from export.training.routes import from_policy

_NAME = "gusodrop-ee-gtsrb"
# Behind every second block.
_EXITS = (1, 3, 5)
_STEPS = 600
_PEAK_RATE = 3e-3


def _recipe(name: str, exits: tuple[int, ...]) -> ExitRecipe:
    def train(networks: Networks, workshop: Workshop, report: Report) -> Mapping[str, str]:
        """Backbone and policy stay as they are; the heads learn on the routes that the policy draws."""
        network, policy, quick = networks.network, networks.policy, workshop.quick
        assert isinstance(network, EarlyExitNetwork)
        assert policy is not None
        source = trained(gusodrop_gtsrb, workshop, report).networks
        assert source.policy is not None
        network.backbone.load_state_dict(source.network.state_dict())
        policy.load_state_dict(source.policy.state_dict())
        signs = read_traffic_signs(workshop, report)
        batches = Batches(signs.balanced, 16 if quick else 128, workshop.seed, name, augmentation=HARD_LIGHT)
        steps = 4 if quick else _STEPS
        adam = torch.optim.Adam(network.heads.parameters(), _PEAK_RATE)
        curve = Curve(_PEAK_RATE, steps, 0, steps)
        run_phase(heads_phase(network, adam, batches, curve, routes=from_policy(policy)), workshop.work, report)
        return signs.digests

    return ExitRecipe(
        name=name,
        bundle=name.replace("-gtsrb", ""),
        task="gtsrb",
        classes=CLASS_NAMES,
        controller="gusodrop",
        draws=5,
        needs="the GTSRB training images",
        phases=(*gusodrop_gtsrb.phases, name),
        build=_builder(exits),
        train=train,
        training_images=training_images,
        test=test_images,
        rendered_test=rendered_test_images,
        placed=lambda chosen: _recipe(placed_name(_NAME, chosen), chosen),
    )


def _builder(exits: tuple[int, ...]) -> Callable[[int, bool], Networks]:
    def build(seed: int, quick: bool) -> Networks:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            gated = backbone(quick)
            # The quick backbone has two blocks.
            network = EarlyExitNetwork(gated, (0,) if quick else exits)
            policy = DecisionNetwork(gated.gates)
        return Networks(network.to(memory_format=torch.channels_last), policy)  # type: ignore[call-overload]

    return build


gusodrop_ee_gtsrb = _recipe(_NAME, _EXITS)
