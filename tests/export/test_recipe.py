from __future__ import annotations

import json
import os
import pickle
import re
from dataclasses import replace

import pytest
import torch

from bench import registry
from export.training.recipe import Trained, Workshop, claim_data, load_trained, save_trained, trained
from export.training.recipes.gusodrop import gusodrop_gtsrb
from export.training.recipes.resnet18 import resnet18_gtsrb
from export.training.recipes.rivals import fixed_route_gtsrb, resnet14_gtsrb

pytestmark = pytest.mark.torch


def find(name):
    return {recipe.name: recipe for recipe in (resnet18_gtsrb, gusodrop_gtsrb)}[name]


def weights(networks):
    modules = [networks.network, *([networks.policy] if networks.policy else [])]
    return [tensor for module in modules for tensor in module.state_dict().values()]


def same(left, right):
    return all(torch.equal(a, b) for a, b in zip(weights(left), weights(right), strict=True))


@pytest.mark.parametrize(
    "recipe", [resnet18_gtsrb, gusodrop_gtsrb, fixed_route_gtsrb, resnet14_gtsrb], ids=lambda recipe: recipe.name
)
def test_a_recipe_is_found_by_its_name(recipe):
    assert registry.find("recipes", recipe.name) is recipe
    assert len(recipe.classes) == 43
    assert (recipe.build(0, True).policy is not None) == (recipe.controller == "gusodrop")


def test_networks_are_a_function_of_the_seed_and_leave_the_global_generator_alone():
    before = torch.random.get_rng_state()
    first = gusodrop_gtsrb.build(5, True)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert same(first, gusodrop_gtsrb.build(5, True))
    assert not same(first, gusodrop_gtsrb.build(6, True))


def test_the_initial_weights_are_those_of_torch_seeded_globally():
    from export.networks.resnet import resnet18

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        expected = resnet18().state_dict()
    built = resnet18_gtsrb.build(0, False).network.state_dict()
    assert all(torch.equal(built[name], tensor) for name, tensor in expected.items())


def test_a_finished_training_reads_back(tmp_path):
    networks = gusodrop_gtsrb.build(3, True)
    path = tmp_path / "gusodrop-gtsrb.pt"
    taken = {"threads": 2, "phases": {"depth": {"steps": 4, "seconds": 7}}}
    save_trained(Trained(gusodrop_gtsrb, 3, True, networks, {"gtsrb/train": "ab"}, "2.0", taken), path)
    read = load_trained(path, find)
    assert (read.recipe, read.seed, read.quick, read.torch_version) == (gusodrop_gtsrb, 3, True, "2.0")
    assert read.data_digests == {"gtsrb/train": "ab"}
    assert read.training == taken
    assert same(read.networks, networks)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize(
    "content", [b"", b"not a file of torch", pickle.dumps({"recipe": "resnet18-gtsrb"}), pickle.dumps(Bomb())]
)
def test_another_file_is_refused_and_never_executed(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "other.pt"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"other\.pt is not the file of a finished training \(\w+\): run edgebench train"
    ):
        load_trained(path, find)
    assert not (tmp_path / "exploded").exists()


def test_a_finished_training_is_not_trained_again_nor_taken_for_another(tmp_path):
    networks = resnet18_gtsrb.build(1, True)
    save_trained(Trained(resnet18_gtsrb, 1, True, networks, {}, "2.0"), tmp_path / "resnet18-gtsrb.pt")
    nowhere = tmp_path / "no data here"
    result = trained(resnet18_gtsrb, Workshop(nowhere, tmp_path, seed=1, quick=True), print)
    assert same(result.networks, networks)
    for seed, quick in ((2, True), (1, False)):
        with pytest.raises(ValueError, match="holds a training with --seed 1 --quick: use the same options"):
            trained(gusodrop_gtsrb, Workshop(nowhere, tmp_path, seed, quick), print)


def test_a_finished_training_of_an_unknown_recipe_is_told_as_that(tmp_path):
    networks = resnet18_gtsrb.build(1, True)
    save_trained(Trained(resnet18_gtsrb, 1, True, networks, {}, "2.0"), tmp_path / "resnet18-gtsrb.pt")
    with pytest.raises(KeyError, match="resnet18-gtsrb"):
        load_trained(tmp_path / "resnet18-gtsrb.pt", {}.__getitem__)


@pytest.fixture
def workshop(signs_folder, tmp_path):
    return Workshop(signs_folder, tmp_path / "work", seed=4, quick=True)


def test_a_work_folder_takes_no_other_data_than_it_began_with(workshop, other_signs_folder):
    interrupted(resnet18_gtsrb, workshop)
    with pytest.raises(ValueError, match=r"holds a training on other data than .*: name the same data"):
        trained(resnet18_gtsrb, replace(workshop, data=other_signs_folder), lambda progress: None)


def test_a_work_folder_without_digests_gets_those_of_the_data(workshop):
    workshop.work.mkdir()
    options = workshop.work / "options.json"
    options.write_text('{"seed": 4, "quick": true}')
    claim_data(workshop, {"gtsrb/train": "ab"})
    assert json.loads(options.read_text()) == {"seed": 4, "quick": True, "data": {"gtsrb/train": "ab"}}
    claim_data(workshop, {"gtsrb/train": "ab"})
    with pytest.raises(ValueError, match="other data"):
        claim_data(workshop, {"gtsrb/train": "cd"})


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-40], lambda content: b"junk"])
@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("20px.pt", "delete it to go on from the phase before"),
        ("rendered-64-5.npz", "delete it, and the frames are rendered again"),
        ("options.json", "delete it, and give the options and the data with which the training began"),
    ],
)
def test_a_damaged_work_file_is_named_with_what_to_do(name, advice, damage, workshop):
    interrupted(resnet18_gtsrb, workshop)
    path = workshop.work / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))} is damaged \(\w+\): {advice}$"):
        trained(resnet18_gtsrb, workshop, lambda progress: None)


def interrupted(recipe, workshop):
    """Leave the work folder as a training leaves it that was stopped after its first phase."""

    def stop(progress):
        if progress.phase == "32px":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(recipe, workshop, stop)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [fixed_route_gtsrb, resnet14_gtsrb], ids=lambda recipe: recipe.name)
def test_a_rival_trains_in_the_work_folder_of_the_others(recipe, signs_folder, tmp_path):
    """Side by side with what it is compared with, whose checkpoints it may use but must not touch."""
    workshop = Workshop(signs_folder, tmp_path, 2, quick=True)
    trained(gusodrop_gtsrb, workshop, lambda progress: None)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.pt")}
    result = trained(recipe, workshop, lambda progress: None)
    assert {phase: taken["steps"] for phase, taken in result.training["phases"].items()} == {
        phase: 6 if phase.endswith(("px", "full-depth")) else 4 for phase in recipe.phases
    }
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.pt")}
    assert before.items() <= after.items()
    assert {f"{phase}.pt" for phase in recipe.phases} <= after.keys()
