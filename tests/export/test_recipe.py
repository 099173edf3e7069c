from __future__ import annotations

import os
import pickle

import pytest
import torch

from bench import registry
from export.training.recipe import Trained, Workshop, load_trained, save_trained, trained
from export.training.recipes import gusodrop_gtsrb, resnet18_gtsrb

pytestmark = pytest.mark.torch


def find(name):
    return {recipe.name: recipe for recipe in (resnet18_gtsrb, gusodrop_gtsrb)}[name]


def weights(networks):
    modules = [networks.network, *([networks.policy] if networks.policy else [])]
    return [tensor for module in modules for tensor in module.state_dict().values()]


def same(left, right):
    return all(torch.equal(a, b) for a, b in zip(weights(left), weights(right), strict=True))


@pytest.mark.parametrize("recipe", [resnet18_gtsrb, gusodrop_gtsrb], ids=lambda recipe: recipe.name)
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
    save_trained(Trained(gusodrop_gtsrb, 3, True, networks, {"gtsrb/train": "ab"}, "2.0"), path)
    read = load_trained(path, find)
    assert (read.recipe, read.seed, read.quick, read.torch_version) == (gusodrop_gtsrb, 3, True, "2.0")
    assert read.data_digests == {"gtsrb/train": "ab"}
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
    with pytest.raises(ValueError, match=r"other\.pt is not the file of a finished training .*: run edgebench train"):
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
