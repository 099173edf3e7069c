from __future__ import annotations

import pytest
import torch

from bench.recipes import RecipeError, find_recipe, is_recipe
from export.training.corruptions import EVERY, Corruption
from export.training.examples import Examples
from export.training.recipe import Workshop, load_trained, trained
from export.training.recipes.surrogate import answered_classes, first_half, second_half, with_corruptions

pytestmark = pytest.mark.torch

NAME = "surrogate-mobilenet-of-sdn-mobilenet-cifar10"


@pytest.fixture
def workshop(photographs, tmp_path):
    return Workshop(photographs, tmp_path / "work", seed=4, quick=True)


def silent(progress):
    pass


def test_noise_and_light_are_those_of_the_table():
    grey = torch.full((4, 3, 32, 32), 100, dtype=torch.uint8)
    noisy = Corruption("gaussian", 5)(grey, torch.Generator().manual_seed(0)).float() / 255
    assert noisy.std().item() == pytest.approx(0.10, rel=0.03)
    # Cut off, not rounded: half a level less.
    assert noisy.mean().item() == pytest.approx((100 - 0.5) / 255, abs=3e-3)
    colour = torch.tensor([100, 50, 0], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    bright = Corruption("brightness", 2)(colour, torch.Generator())
    value = 100 + 0.1 * 255
    assert bright[0, :, 0, 0].tolist() == [int(value), int(value / 2), 0]
    large = Corruption("brightness", 5)(torch.zeros((1, 3, 64, 64), dtype=torch.uint8), torch.Generator())
    assert large.unique().tolist() == [127]
    assert [(each.kind, each.severity) for each in EVERY][4:6] == [("gaussian", 5), ("brightness", 1)]


def test_images_come_with_ten_copies_each():
    images = torch.randint(256, (3, 3, 8, 8), dtype=torch.uint8)
    first, again = (with_corruptions(images, 0, "phase") for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(first[:3], images)
    assert len(first.flatten(1).unique(dim=0)) == 33


def test_the_two_halves_are_all_images_and_share_none():
    test = Examples(torch.arange(7).view(7, 1, 1, 1).to(torch.uint8), torch.arange(7))
    assert first_half(test).labels.tolist() == [0, 2, 4, 6]
    assert second_half(test).labels.tolist() == [1, 3, 5]


def test_the_first_sure_exit_answers():
    sure, unsure = torch.tensor([9.0, 0.0, 0.0]), torch.tensor([0.0, 0.1, 0.0])
    early = [torch.stack([sure, unsure, unsure]), torch.stack([unsure, sure, unsure])]
    scores = [*early, torch.tensor([[0.0, 0.0, 1.0]] * 3)]
    assert answered_classes(scores).tolist() == [0, 0, 2]


def test_a_surrogate_learns_the_targets_answers(workshop):
    recipe = find_recipe(NAME)
    result = trained(recipe, workshop, silent)
    target = load_trained(workshop.work / "sdn-mobilenet-cifar10.pt", find_recipe).networks.network.eval()
    asked = torch.load(workshop.work / f"{NAME}-asking.pt", weights_only=True)["state"]["answers"]
    own = first_half(find_recipe("mobilenet-cifar10").test(workshop.data))
    images = with_corruptions(own.images, 4, f"{NAME}-asking")
    with torch.no_grad():
        assert torch.equal(asked["classes"], answered_classes(target(images.float() / 255)))
    assert not result.networks.network.exits
    assert list(result.data_digests) == ["cifar10/answers of sdn-mobilenet-cifar10"]
    assert all((workshop.work / f"{phase}.pt").is_file() for phase in recipe.phases)
    assert len(recipe.test(workshop.data)) == 6
    read = load_trained(workshop.work / f"{NAME}.pt", find_recipe)
    assert read.recipe.name == NAME


def test_a_surrogate_that_was_interrupted_goes_on_from_the_answers(workshop, monkeypatch):
    whole = trained(find_recipe(NAME), workshop, silent)
    asked = (workshop.work / f"{NAME}-asking.pt").stat().st_mtime_ns
    (workshop.work / f"{NAME}.pt").unlink()
    (workshop.work / f"{NAME}-32px.pt").unlink()
    again = trained(find_recipe(NAME), workshop, silent)
    assert (workshop.work / f"{NAME}-asking.pt").stat().st_mtime_ns == asked
    left, right = (each.networks.network.state_dict().values() for each in (whole, again))
    assert all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_answers_to_other_images_are_refused(workshop):
    trained(find_recipe("sdn-mobilenet-cifar10"), workshop, silent)
    trained(find_recipe(NAME), workshop, silent)
    path = workshop.work / f"{NAME}-asking.pt"
    saved = torch.load(path, weights_only=True)
    saved["state"]["answers"]["digest"] = "another"
    torch.save(saved, path)
    (workshop.work / f"{NAME}.pt").unlink()
    with pytest.raises(ValueError, match="holds answers to other images"):
        trained(find_recipe(NAME), workshop, silent)


@pytest.mark.parametrize(
    "name",
    [
        "surrogate-resnet56-of-sdn-vgg16-cifar10",
        "surrogate-sdn-vgg16-of-resnet56-cifar100",
        "surrogate-sdn-resnet56-of-mobilenet-tiny-imagenet",
        "surrogate-mobilenet-of-sdn-resnet56-cifar10-exits-1-3",
    ],
)
def test_the_pairs_of_the_paper_are_on_offer(name):
    recipe = find_recipe(name)
    assert recipe.name == recipe.bundle == name
    assert is_recipe(name)
    assert bool(recipe.build(0, True).network.exits) == name.startswith("surrogate-sdn")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("surrogate-resnet56", "does not say of which network"),
        ("surrogate-resnet18-of-resnet18-gtsrb", "is not on offer"),
        ("surrogate-sdn-heads-vgg16-of-vgg16-cifar10", "is trained from another network"),
        ("surrogate-sdn-resnet56-of-sdn-mobilenet-tiny-imagenet-exits-1-3", "is longer than 58 letters"),
    ],
)
def test_surrogates_that_cannot_be_had_are_refused(name, reason):
    with pytest.raises(RecipeError, match=reason):
        find_recipe(name)
