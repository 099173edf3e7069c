"""What a recipe is: how a shipped network comes to be, from data to weights that can be exported."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch

from export.networks.early_exit import StagedNetwork
from export.networks.policy import DecisionNetwork
from export.networks.resnet import GatedResNet
from export.training.examples import Examples
from export.training.loop import Progress, time_taken
from export.training.work_file import reading

Report: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where and how a recipe works: it reads `data`, keeps checkpoints in `work`, and draws everything from `seed`.

    `quick` is for trying the way through: a narrow network and a handful of steps.
    """

    data: Path
    work: Path
    seed: int = 0
    quick: bool = False


@dataclass(frozen=True, slots=True)
class Networks:
    """What is exported: a network, and the policy that decides its gates, if there is one."""

    network: StagedNetwork
    policy: DecisionNetwork | None = None

    @property
    def gated(self) -> GatedResNet:
        """The network, where it is one with gates and without exits."""
        assert isinstance(self.network, GatedResNet)
        return self.network


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained, and what its bundle says of it.

    `bundle` is the bundle's name, `task` and `classes` what it recognises, and `controller` the spec that it suggests;
    `needs` says in words what must lie in the data folder; `phases` are the checkpoints that `train` leaves, in order;
    `draws` is how many times the gates of each test image are drawn for the stated accuracy.

    `quick_controller` is the spec where the narrow network of `quick` needs another one.

    `build(seed, quick)` gives the networks untrained.  `train` runs every phase from its checkpoint and returns the
    digests of the data that it used, by name.  `training_images(data)` reads the images of the training set that it
    learns from, `test(data)` the test images, and `rendered_test(count)` draws some (None: they cannot be drawn).
    """

    name: str
    bundle: str
    task: str
    classes: tuple[str, ...]
    controller: str
    draws: int
    needs: str
    phases: tuple[str, ...]
    build: Callable[[int, bool], Networks]
    train: Callable[[Networks, Workshop, Report], Mapping[str, str]]
    training_images: Callable[[Path], Examples]
    test: Callable[[Path], Examples]
    rendered_test: Callable[[int], Examples] | None
    quick_controller: str | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """What a recipe made, with what is needed to make it again; `training` says how long it took on what, as JSON."""

    recipe: Recipe
    seed: int
    quick: bool
    networks: Networks
    data_digests: Mapping[str, str]
    torch_version: str
    training: Mapping[str, Any] = field(default_factory=dict)


def examples_digest(examples: Examples) -> str:
    """SHA-256 over pixels and labels, whatever files they came from."""
    digest = hashlib.sha256(examples.images.contiguous().numpy().data)
    digest.update(examples.labels.contiguous().numpy().data)
    return digest.hexdigest()


def trained(recipe: Recipe, workshop: Workshop, report: Report) -> Trained:
    """The networks of `recipe`, from the file in the work folder, or trained and kept there.

    Raises:
        ValueError: the work folder belongs to a training with other options or other data, or is damaged.
    """
    _claim(workshop)
    path = workshop.work / f"{recipe.name}.pt"
    if not path.exists():
        networks = recipe.build(workshop.seed, workshop.quick)
        digests = recipe.train(networks, workshop, report)
        training = {
            "machine": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
            "threads": torch.get_num_threads(),
            "phases": {phase: time_taken(workshop.work, phase) for phase in recipe.phases},
        }
        result = Trained(recipe, workshop.seed, workshop.quick, networks, digests, torch.__version__, training)
        save_trained(result, path)
    return load_trained(path, lambda name: recipe)


def _claim(workshop: Workshop) -> None:
    """Write the options into the work folder, or refuse a folder with others: checkpoints must not be mixed."""
    path = _options_file(workshop.work)
    if not path.exists():
        workshop.work.mkdir(parents=True, exist_ok=True)
        _write_options(path, workshop, None)
        return
    with _reading_options(path):
        found = json.loads(path.read_text(encoding="utf-8"))
        seed, quick = found["seed"], found["quick"]
    if (seed, quick) != (workshop.seed, workshop.quick):
        raise ValueError(
            f"{workshop.work} holds a training with --seed {seed}{' --quick' if quick else ''}: use the same options, "
            "or another work folder"
        )


def claim_data(workshop: Workshop, digests: Mapping[str, str]) -> None:
    """Write the digests of the training data into a work folder that `trained` claimed, or refuse one with others.

    Raises:
        ValueError: the checkpoints there are from other data.
    """
    path = _options_file(workshop.work)
    with _reading_options(path):
        found = json.loads(path.read_text(encoding="utf-8")).get("data")
    if found is None:
        _write_options(path, workshop, digests)
    elif found != digests:
        raise ValueError(
            f"{workshop.work} holds a training on other data than {workshop.data}: name the same data, or another work "
            "folder"
        )


def _options_file(work: Path) -> Path:
    return work / "options.json"


def _reading_options(path: Path) -> AbstractContextManager[None]:
    return reading(path, "is damaged", "delete it, and give the options and the data with which the training began")


def _write_options(path: Path, workshop: Workshop, digests: Mapping[str, str] | None) -> None:
    options = {"seed": workshop.seed, "quick": workshop.quick, "data": digests}
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(options), encoding="utf-8")
    temporary.replace(path)


def save_trained(result: Trained, path: Path) -> None:
    """Write the weights and where they come from, atomically."""
    policy = result.networks.policy
    temporary = path.with_suffix(".tmp")
    torch.save(
        {
            "recipe": result.recipe.name,
            "seed": result.seed,
            "quick": result.quick,
            "network": result.networks.network.state_dict(),
            "policy": None if policy is None else policy.state_dict(),
            "data_digests": dict(result.data_digests),
            "torch_version": str(result.torch_version),
            "training": dict(result.training),
        },
        temporary,
    )
    temporary.replace(path)


def load_trained(path: Path, find_recipe: Callable[[str], Recipe]) -> Trained:
    """Read a file of `save_trained`; `find_recipe` gives the recipe of the name in it.

    Raises:
        ValueError: the file is not one of a finished training.
    """
    damage = (
        "is not the file of a finished training",
        "run edgebench train, with this file deleted if it lies in the work folder",
    )
    with reading(path, *damage):
        # Weights only: a pickle from elsewhere must not run code.
        saved = torch.load(path, weights_only=True)
        name = saved["recipe"]
    recipe = find_recipe(name)
    with reading(path, *damage):
        networks = recipe.build(saved["seed"], saved["quick"])
        networks.network.load_state_dict(saved["network"])
        if networks.policy is not None:
            networks.policy.load_state_dict(saved["policy"])
        made = saved["data_digests"], saved["torch_version"], saved["training"]
        return Trained(recipe, saved["seed"], saved["quick"], networks, *made)
