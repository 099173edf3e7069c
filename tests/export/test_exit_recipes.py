from __future__ import annotations

import pytest
import torch

from bench import registry
from bench.recipes import RecipeError, find_recipe, is_recipe
from export.networks.early_exit import EarlyExitNetwork
from export.training.recipe import Workshop, load_trained, trained
from export.training.recipes.exits import mobilenet_cifar10, resnet56_cifar10, vgg16_cifar100

pytestmark = pytest.mark.torch

FAMILIES = [
    f"{kind}{network}-{data}"
    for kind in ("", "sdn-", "sdn-heads-", "sdn-static-")
    for network in ("resnet56", "mobilenet", "vgg16")
    for data in ("cifar10", "cifar100", "tiny-imagenet")
]


@pytest.fixture
def workshop(photographs, tmp_path):
    return Workshop(photographs, tmp_path / "work", seed=4, quick=True)


def same(left, right):
    return all(torch.equal(a, b) for a, b in zip(left.state_dict().values(), right.state_dict().values(), strict=True))


SMALLER = [f"{network}-{data}" for network in ("resnet20", "half-mobilenet") for data in ("cifar10", "cifar100")]


@pytest.mark.parametrize("name", [*FAMILIES, *SMALLER, "pabee-resnet56-cifar10", "gusodrop-ee-gtsrb"])
def test_a_recipe_is_found_by_its_name(name):
    recipe = registry.find("recipes", name)
    assert recipe.name == name
    network = recipe.build(0, True).network
    assert isinstance(network, EarlyExitNetwork)
    assert bool(network.exits) == name.startswith(("sdn-r", "sdn-m", "sdn-v", "sdn-h", "pabee", "gusodrop"))


def test_published_exits_are_the_default():
    exits = [recipe.build(0, True).network.exits for recipe in (resnet56_cifar10.joint, mobilenet_cifar10.heads)]
    assert exits == [(3, 7, 11, 15, 19, 23), (2, 4, 6, 8, 11)]
    assert vgg16_cifar100.joint.build(0, True).network.exits == (1, 3, 5, 6, 8, 9)


def test_moved_exits_are_part_of_the_name():
    recipe = find_recipe("sdn-vgg16-cifar10-exits-1-3-5")
    assert recipe.name == recipe.bundle == "sdn-vgg16-cifar10-exits-1-3-5"
    assert recipe.build(0, True).network.exits == (1, 3, 5)
    assert all(phase.startswith(recipe.name) for phase in recipe.phases)
    assert is_recipe(recipe.name)
    assert not is_recipe("sdn-vgg61-cifar10-exits-1-3-5")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sdn-vgg16-cifar10-exits-1-3-13", "name blocks from 0 to 12"),
        ("sdn-vgg16-cifar10-exits-3-1", "rising"),
        ("resnet56-cifar10-exits-1", "has no exits to move"),
        ("resnet18-gtsrb-exits-1", "has no exits to move"),
        ("sdn-vgg16-cifar10-exits-" + "-".join(map(str, range(20))), "20 exits are too many"),
    ],
)
def test_exits_that_cannot_be_had_are_refused(name, reason):
    with pytest.raises(RecipeError, match=reason):
        find_recipe(name)


def test_quick_trainings_of_a_family_share_what_they_say_they_share(workshop):
    """Of the smallest family: the heads stand on the plain network, the static one is the joint one's backbone."""
    networks = {}
    for kind in ("plain", "joint", "heads", "static"):
        recipe = getattr(mobilenet_cifar10, kind)
        networks[kind] = trained(recipe, workshop, lambda progress: None).networks.network
        assert {phase for phase in recipe.phases if not (workshop.work / f"{phase}.pt").is_file()} == set()
    assert same(networks["heads"].backbone, networks["plain"].backbone)
    assert same(networks["static"].backbone, networks["joint"].backbone)
    assert not same(networks["joint"].backbone, networks["plain"].backbone)
    untrained = mobilenet_cifar10.heads.build(workshop.seed, True).network
    assert not same(networks["heads"].heads, untrained.heads)


def test_a_network_with_moved_exits_reads_back(workshop):
    recipe = find_recipe("sdn-mobilenet-cifar10-exits-0-5")
    result = trained(recipe, workshop, lambda progress: None)
    read = load_trained(workshop.work / f"{recipe.name}.pt", find_recipe)
    assert read.networks.network.exits == (0, 5)
    assert same(read.networks.network, result.networks.network)


def test_gates_and_exits_share_the_finished_backbone_and_policy(signs_folder, tmp_path):
    workshop = Workshop(signs_folder, tmp_path / "work", seed=4, quick=True)
    recipe = registry.find("recipes", "gusodrop-ee-gtsrb")
    networks = trained(recipe, workshop, lambda progress: None).networks
    source = load_trained(workshop.work / "gusodrop-gtsrb.pt", find_recipe).networks
    assert same(networks.network.backbone, source.network)
    assert same(networks.policy, source.policy)
    assert not same(networks.network.heads, recipe.build(4, True).network.heads)


def test_blockdrop_starts_from_the_plain_network(workshop):
    recipe = registry.find("recipes", "blockdrop-resnet56-cifar10")
    networks = trained(recipe, workshop, lambda progress: None).networks
    assert networks.network.gates == networks.policy.linear.out_features == 27
    assert {phase for phase in recipe.phases if not (workshop.work / f"{phase}.pt").is_file()} == set()


@pytest.mark.slow
def test_skipnet_starts_from_the_plain_network_and_its_gates_settle_before_it(workshop):
    recipe = registry.find("recipes", "skipnet-resnet56-cifar10")
    phases = []
    networks = trained(recipe, workshop, lambda progress: phases.append(progress.phase)).networks
    assert networks.network.gates == len(networks.network.block_gates) == 27
    assert tuple(dict.fromkeys(phases)) == recipe.phases
    settled = torch.load(workshop.work / "skipnet-resnet56-cifar10-gates.pt", weights_only=True)["state"]["network"]
    found = networks.network.state_dict()
    assert all(torch.equal(found[name], settled[name]) for name in found if name.startswith("block_gates"))
    assert not torch.equal(found["stem.1.weight"], settled["stem.1.weight"])
