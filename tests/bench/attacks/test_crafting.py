from __future__ import annotations

import copy
import json
import shutil
from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from bench.attacks.ball import OutsideError
from bench.attacks.pgd import PGD
from bench.attacks.target import Target
from bench.attacks.universal import Universal
from bench.crafting import Order, craft, craft_batch, fitting_batch
from bench.registry import make, names
from edge.bundle import open_bundle
from edge.models import model_folder

pytestmark = pytest.mark.torch


@pytest.fixture
def order(gated, policy):
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 256, (7, 3, 8, 8), dtype=np.uint8)
    target = Target(gated.float(), policy.float())
    yield Order(PGD(steps=2), "pgd:steps=2", target, "weights", frames, generator.integers(0, 5, 7), seed=3, batch=3)
    gated.double(), policy.double()


def same(one, other):
    return all(getattr(one, each.name).tobytes() == getattr(other, each.name).tobytes() for each in fields(one))


@pytest.mark.parametrize(("spec", "whole"), [("universal:steps=1", True), ("pgd:steps=1", False)])
def test_transfer_makes_together_what_the_other_attack_does(spec, whole):
    assert make("attacks", f"transfer:resnet18,attack={spec}")[0].whole is whole


def test_progress_is_told_within_a_batch(order):
    """Seven images in batches of three, and two gradients for each: half a batch, rounded down, and never the end."""
    whole, within = [], []
    craft(replace(order, attack=PGD(steps=1), spec="pgd:steps=1"), None, whole.append, within=within.append)
    assert [step.step for step in whole] == [3, 6, 7]
    assert [step.step for step in within] == [1, 4, 6]

    def kill(step):
        raise Killed

    with pytest.raises(Killed):
        craft(order, within=kill)


@pytest.mark.parametrize("spec", [*names("attacks")])
def test_no_attack_takes_more_looks_than_it_says(spec, with_exits, policy, images, labels):
    short = {"universal": "steps=2", "patch": "steps=2,views=2", "square": "queries=4", "early": "steps=3"}
    if spec in ("transfer", "fgsm"):
        attack = make("attacks", {"transfer": "transfer:gusodrop,attack=fgsm"}.get(spec, spec))[0]
    else:
        attack = make("attacks", f"{spec}:{short.get(spec, 'steps=3')}")[0]
    looks = []
    target = Target(with_exits, policy).watched(lambda: looks.append(1))
    if spec == "transfer":
        images = torch.nn.functional.interpolate(images, (32, 32)).float()
    attack.craft(target, images, labels, torch.Generator().manual_seed(0))
    assert 0 < len(looks) <= attack.looks


def test_more_draws_are_crafted_fewer_at_a_time():
    batches = {"1": 64, "4": 16, "20": 8, "exact": 8}
    for eot, expected in batches.items():
        for spec in (f"pgd:eot={eot}", f"transfer:resnet18,attack=pgd:eot={eot}"):
            assert fitting_batch(make("attacks", spec)[0]) == expected, spec
    assert fitting_batch(make("attacks", "depth-penalised")[0]) == 64


def test_tracks_reach_the_attack_and_are_part_of_the_order(order):
    class Seen(PGD):
        def craft_along(self, target, images, labels, tracks, generator):
            assert tracks.tolist() in ([4, 4, 5], [5, 5, -1], [-1])
            return self.craft(target, images, labels, generator)

    tracked = replace(order, attack=Seen(steps=1), tracks=np.array([4, 4, 5, 5, 5, -1, -1]))
    assert len(craft(tracked).images) == 7
    assert tracked.claim()["frames"] != order.claim()["frames"]


def test_a_surrogate_that_was_trained_again_is_another_order(order, tmp_path):
    folder = tmp_path / "surrogate"
    shutil.copytree(model_folder("resnet18"), folder)
    spec = f"transfer:{folder},attack=fgsm"
    before = replace(order, attack=make("attacks", spec)[0], spec=spec).claim()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["provenance"]["seed"] = 99
    (folder / "manifest.json").write_text(json.dumps(manifest))
    after = replace(order, attack=make("attacks", spec)[0], spec=spec).claim()
    assert [name for name in before if before[name] != after[name]] == ["surrogates"]
    assert after["surrogates"] == [open_bundle(folder).digest]
    assert "surrogates" not in order.claim()


class Killed(BaseException):
    pass


def test_what_is_crafted_after_a_kill_is_the_same(order, tmp_path):
    whole = craft(order)

    def kill(step):
        raise Killed

    with pytest.raises(Killed):
        craft(order, tmp_path, kill)
    assert len(list(tmp_path.glob("batch-*.npz"))) == 1
    (tmp_path / "batch-000001.tmp.npz").write_bytes(b"half a batch")
    steps = []
    resumed = craft(order, tmp_path, steps.append)
    assert [(step.step, step.steps) for step in steps] == [(3, 4), (4, 4)]
    assert same(resumed, whole)
    assert same(craft(order, tmp_path, kill), whole), "nothing is left to do, and nobody to be told"


def test_a_batch_does_not_depend_on_what_came_before(order):
    whole = craft(order)
    assert craft_batch(order, 1).images.tobytes() == whole.images[3:6].tobytes()
    assert not same(craft(replace(order, seed=4)), whole)
    assert len(whole.images) == 7
    assert whole.gradients.tolist() == [2] * 7


def test_frames_are_the_images_and_inside_the_ball(order):
    made = craft(order)
    assert np.abs(made.frames / 255 - made.images).max() < 1 / 255
    assert np.abs(made.frames.astype(int) - order.frames).max() == 8


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 9}, "seed"), ({"model": "others", "batch": 2}, "model and batch"), ({"spec": "pgd"}, "attack")],
)
def test_a_folder_of_another_order_is_refused(order, tmp_path, change, named):
    craft(order, tmp_path)
    with pytest.raises(ValueError, match=f"crafted with another {named}: craft the same, or name another"):
        craft(replace(order, **change), tmp_path)


def test_damaged_files_are_named(order, tmp_path):
    craft(order, tmp_path)
    (tmp_path / "batch-000001.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"batch-000001.npz is damaged .*: delete it, and craft again"):
        craft(order, tmp_path)
    (tmp_path / "crafting.json").write_text(json.dumps({}))
    with pytest.raises(ValueError, match=r"crafting.json is damaged"):
        craft(order, tmp_path)


def test_an_attack_that_leaves_its_ball_is_caught(order):
    class Leaves(PGD):
        def craft(self, target, images, labels, generator):
            made = super().craft(target, images, labels, generator)
            return replace(made, images=(made.images + 0.01).clamp(0, 1))

    with pytest.raises(OutsideError, match=r"outside its linf ball: report it"):
        craft(replace(order, attack=Leaves(Fraction(8, 255), steps=2)))


def test_no_frames_are_refused(order):
    with pytest.raises(ValueError, match="there are no frames"):
        craft(replace(order, frames=order.frames[:0], labels=order.labels[:0]))


def test_gradients_that_are_zero_are_reported_per_image(order):
    def blind(images):
        scores = images.flatten(1).sum(1, keepdim=True) * torch.tensor([1.0, 2.0])
        return torch.where(torch.arange(len(images)).view(-1, 1) == 0, scores.detach() + 0 * scores, scores)

    steps = []
    labels = np.zeros(3, np.int64)
    made = craft(replace(order, target=Target(blind), frames=order.frames[:3], labels=labels), report=steps.append)
    assert made.zero_gradients.tolist() == [2, 0, 0]
    assert steps[0].metrics == {"zero gradients": pytest.approx(1 / 3)}


@pytest.mark.parametrize(
    "spec", ["universal:steps=6,eot=2", "deepsloth:steps=6,share=class", "patch:steps=6,views=2,share=all"]
)
def test_a_change_that_frames_share_goes_on_after_a_kill(order, with_exits, policy, spec, tmp_path, monkeypatch):
    target = Target(copy.deepcopy(with_exits).float(), policy)
    shared = replace(order, attack=make("attacks", spec)[0], spec=spec, target=target)
    whole = craft(shared)
    monkeypatch.setattr("bench.crafting._STEPS_EVERY_S", 0.0)
    looks = []

    def stop_at_the_fourth_step(step):
        looks.append(step)
        if len(looks) == shared.attack.looks // 2 + 1:
            raise Killed

    with pytest.raises(Killed):
        craft(shared, tmp_path, within=stop_at_the_fourth_step)
    steps = tmp_path / "steps-000000.npz"
    assert steps.exists()
    with pytest.raises(ValueError, match="crafted with another seed"):
        craft(replace(shared, seed=9), tmp_path)
    again = []
    resumed = craft(shared, tmp_path, within=again.append)
    assert 0 < len(again) < shared.attack.looks
    for name in ("images", "frames", "zero_gradients", "non_finite_gradients", "gradients", "queries"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    assert not steps.exists()
    assert [file.name for file in tmp_path.glob("*.npz")] == ["batch-000000.npz"]


def test_frames_that_share_a_change_are_crafted_together(order):
    shared = replace(order, attack=Universal(steps=2), spec="universal:steps=2")
    assert (order.batches, shared.batches) == (3, 1)
    made = craft(shared)
    grey = np.all((order.frames > 10) & (order.frames < 245), axis=0)
    changes = made.images[:, grey] - order.frames[:, grey] / np.float32(255)
    np.testing.assert_allclose(changes, np.broadcast_to(changes[:1], changes.shape), atol=1e-6)
    assert len(craft(replace(shared, attack=Universal(steps=2, share="image"))).images) == 7
