from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bench.attacks.aimed import grouped
from bench.attacks.ball import Ball, check
from bench.attacks.deepsloth import DeepSloth
from bench.attacks.depth import Depth, PenalisedDepth, gate_shares, policy_alone, without_conflict
from bench.attacks.early_attack import EarlyAttack, flipped
from bench.attacks.entropy import Entropy, gate_entropy
from bench.attacks.patch import Patch
from bench.attacks.rush import Rush
from bench.attacks.target import Target
from bench.attacks.universal import Universal
from bench.spec import SpecError, build, format_spec, parse_spec

pytestmark = pytest.mark.torch

NAMES = {
    "early": EarlyAttack,
    "deepsloth": DeepSloth,
    "rush": Rush,
    "depth": Depth,
    "depth-penalised": PenalisedDepth,
    "entropy": Entropy,
    "patch": Patch,
    "universal": Universal,
}
EVERY = [
    "early:steps=12,settle=3",
    "early:steps=12,settle=3,eps=8/255,start=image,eot=3",
    "early:steps=12,keep=last,classes=2,distance=pixels,eot=exact",
    "deepsloth:steps=6",
    "deepsloth:norm=l2,eps=0.35,steps=6,eot=2",
    "deepsloth:share=all,steps=6,step=0.005",
    "deepsloth:share=class,norm=l2,eps=1/2,steps=6,start=image",
    "rush:eps=8/255,steps=6",
    "rush:eps=1/2,norm=l2,steps=6,exit=1,gates=full",
    "depth:steps=6",
    "depth:steps=6,norm=l2,eps=1/2,loss=hinge,conflict=removed",
    "depth:steps=6,loss=power,answer=0.1,gates=mean",
    "depth:steps=6,aim=drop,eot=exact",
    "depth:steps=6,share=all",
    "depth-penalised:steps=6",
    "depth-penalised:steps=6,loss=power,conflict=kept",
    "entropy:steps=3,settle=3",
    "entropy:steps=3,settle=0,norm=l2,eps=1/2,gates=detached,eot=2,output=all",
    "patch:steps=3,views=2",
    "patch:steps=3,views=1,share=all,shape=disc,output=taken:0.5",
    "universal:steps=6",
    "universal:steps=6,share=class,norm=l2,eps=1/2,output=all,loss=margin",
]


def attack(text):
    spec = parse_spec(text)
    return build(spec, NAMES[spec.name])


def crafted(text, target, images, labels, seed=5):
    return attack(text).craft(target, images, labels, torch.Generator().manual_seed(seed))


def noise(ball, images, seed=0):
    return ball.edge(images, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("text", EVERY)
def test_every_attack_stays_inside_and_repeats(with_exits, policy, images, labels, text):
    target = Target(with_exits, policy)
    first, second = (crafted(text, target, images, labels) for _ in range(2))
    check(first.images, images, attack(text).ball)
    assert torch.equal(first.images, second.images)
    assert first.images.dtype == images.dtype
    assert not torch.equal(first.images, images)
    assert not first.non_finite_gradients.any()
    assert first.gradients > 0
    assert attack(format_spec(parse_spec(text).name, attack(text))) == attack(text)


def test_deepsloth_leaves_every_early_exit_less_sure_than_noise(with_exits, images, labels):
    def surest(shown):
        return torch.stack([scores.softmax(1).amax(1) for scores in with_exits(shown)[:-1]])

    for text in ("deepsloth:eps=16/255,steps=40", "deepsloth:norm=l2,eps=2,steps=60"):
        found = crafted(text, Target(with_exits), images, labels).images
        assert (surest(found) < surest(noise(attack(text).ball, images))).all(), text
    shared = crafted("deepsloth:share=all,eps=16/255,steps=40,step=2/255", Target(with_exits), images, labels).images
    assert (surest(shared).mean(1) < surest(images).mean(1)).all()


def test_deepsloth_on_a_linear_exit_ends_where_all_scores_are_equal():
    """Two classes whose scores differ by w x: the flattest point in reach is the corner, or w x = 0."""
    weights = torch.tensor([1.0, -2.0, 3.0]).view(1, 3, 1, 1)

    class TwoExits(nn.Module):
        def forward(self, images):
            difference = (images * weights).sum((1, 2, 3)) - 0.5
            scores = torch.stack((difference, torch.zeros_like(difference)), 1)
            return [scores, scores]

    images, labels = torch.tensor([[0.9, 0.2, 0.8], [0.6, 0.45, 0.35]]).view(2, 3, 1, 1), torch.zeros(2).long()
    found = crafted("deepsloth:eps=1/10,steps=400,step=1/1000", Target(TwoExits()), images, labels).images
    differences = (found * weights).sum((1, 2, 3)) - 0.5
    torch.testing.assert_close(found[0], images[0] - 0.1 * weights[0].sign())
    assert abs(differences[1]) < 0.01


def test_shrinking_balls_end_at_the_radius_asked_for():
    made = attack("deepsloth:norm=l2,eps=0.349,steps=550")
    assert made.ball_at(549).radius == pytest.approx(0.349)
    assert made.ball_at(0).radius == pytest.approx(0.349 / 0.9**10)
    assert (made.length_at(0), made.length_at(549)) == (1.0, pytest.approx(0.01, abs=1e-4))


def test_rush_makes_an_early_exit_sure_and_wrong(with_exits, images, labels):
    labels = with_exits(images)[0].argmax(1)
    found = crafted("rush:eps=32/255,steps=60", Target(with_exits), images, labels).images

    def wrong(shown):
        shares = with_exits(shown)[0].softmax(1)
        return shares.scatter(1, labels.unsqueeze(1), 0.0).amax(1)

    assert (wrong(found) > wrong(noise(Ball("linf", 32 / 255), images))).all()
    assert (with_exits(found)[0].argmax(1) != labels).all()


@pytest.mark.parametrize("text", ["depth", "depth:loss=hinge", "depth:loss=power", "depth:loss=hinge,conflict=removed"])
def test_depth_opens_gates(gated, policy, images, labels, text):
    text += ("," if ":" in text else ":") + "eps=32/255,steps=40"
    target = Target(gated, policy)
    found, shares = crafted(text, target, images, labels).images, gate_shares(target)
    if "cost" in text or text.startswith("depth:eps"):
        assert (policy(found) @ shares > policy(noise(attack(text).ball, images)) @ shares).all()
    closed = (0.5 - policy(images)).relu().sum(1)
    assert ((0.5 - policy(found)).relu().sum(1) <= closed).all()
    assert (policy(found).sum() > policy(images).sum()) or not closed.any()


def test_depth_can_keep_the_answer(gated, policy, images, labels):
    target, full = Target(gated, policy), gated(images)

    def error(text):
        found = crafted(text, target, images, labels).images
        return (gated(found) - full).square().sum()

    text = "depth:eps=32/255,steps=40,step=1/255,start=image"
    assert error(f"{text},answer=100,gates=full") < 0.5 * error(text)


def test_depth_can_drop_blocks_and_be_wrong(gated, policy, images):
    labels, shares = gated(images).argmax(1), gate_shares(Target(gated, policy))
    found = crafted("depth:aim=drop,eps=32/255,steps=40,gates=mean", Target(gated, policy), images, labels).images
    there = noise(Ball("linf", 32 / 255), images)
    assert (policy(found) @ shares).sum() < (policy(there) @ shares).sum()
    assert (gated(found).argmax(1) != labels).sum() >= (gated(there).argmax(1) != labels).sum()


def test_penalised_depth_pays_for_distance(gated, policy, images, labels):
    target = Target(gated, policy)
    near, far = (
        crafted(f"depth-penalised:loss=cost,weight={weight}", target, images, labels).images for weight in (1e-4, 1)
    )
    distances = [(each - images).flatten(1).norm(dim=1) for each in (near, far)]
    assert (distances[0] < distances[1]).all()
    assert (policy(far).sum(1) > policy(images).sum(1)).all()


def test_a_conflict_is_what_points_the_other_way():
    gradient = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]).view(3, 3, 1, 1)
    other = torch.tensor([[-2.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).view(3, 3, 1, 1)
    expected = torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]).view(3, 3, 1, 1)
    assert torch.equal(without_conflict(gradient, other), expected)


def test_the_policy_alone_is_asked_where_the_network_does_not_matter(gated, policy, images, labels):
    class Broken(nn.Module):
        def forward(self, images):
            raise AssertionError

    target = Target(gated, policy)
    alone = policy_alone(target)
    assert alone.network is policy
    object.__setattr__(target, "outputs", Broken().forward)
    assert crafted("depth:steps=2", target, images, labels).gradients == 2
    assert crafted("depth:steps=2,conflict=removed", target, images, labels).gradients == 4


def test_entropy_is_taken_away_and_the_route_broken(gated, policy, images):
    target, ball = Target(gated, policy), Ball("linf", 32 / 255)
    labels = gated.forward_sparse(images, policy(images) >= 0.5).argmax(1)
    found = crafted("entropy:eps=32/255,settle=30,steps=30", target, images, labels).images
    assert (gate_entropy(policy(found)) < gate_entropy(policy(noise(ball, images)))).all()
    broken = gated.forward_sparse(found, policy(found) >= 0.5).argmax(1) != labels
    assert broken.sum() > (gated.forward_sparse(noise(ball, images), policy(images) >= 0.5).argmax(1) != labels).sum()


def test_gate_entropy_is_that_of_coins():
    keep = torch.tensor([[0.5, 0.25], [0.1, 0.9]], dtype=torch.float64)
    quarter = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    tenth = -(0.1 * math.log2(0.1) + 0.9 * math.log2(0.9))
    assert gate_entropy(keep).tolist() == pytest.approx([1 + quarter, 2 * tenth])


def test_universal_is_one_change_that_hurts_more_than_noise(gated, images):
    labels = gated(images).argmax(1)
    found = crafted("universal:eps=16/255,steps=60,step=1/255", Target(gated), images, labels).images
    # Where nothing was cut off at 0 or 1, the change is the same for all.
    inside = ((images > 16.5 / 255) & (images < 1 - 16.5 / 255)).all(0)
    changes = (found - images)[:, inside]
    torch.testing.assert_close(changes, changes[:1].expand_as(changes))

    def loss(shown):
        return nn.functional.cross_entropy(gated(shown), labels)

    assert loss(found) > loss(noise(Ball("linf", 16 / 255), images))


def test_shared_changes_are_moved_for_all_images_in_turn(gated, policy, images, labels, monkeypatch):
    monkeypatch.setattr("bench.attacks.aimed._TOGETHER", 3)
    made = crafted("universal:steps=4", Target(gated, policy), images, labels)
    assert made.gradients == 2
    changes = (made.images - images).flatten(1)
    assert (changes.abs().amax(1) > 0).all()


def test_groups_share_by_label():
    labels = torch.tensor([7, 2, 7, 5])
    assert grouped(labels, "image").tolist() == [0, 1, 2, 3]
    assert grouped(labels, "class").tolist() == [2, 0, 2, 1]
    assert grouped(labels, "all").tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("deepsloth:eps=2", "eps is a radius from 0 to 1"),
        ("deepsloth:share=some", "share=some: it takes share .image or class or all"),
        ("early:alpha=0", "alpha is a number above 0, not 0; for example alpha=1"),
        ("early:settle=-1", "settle is a step from 0 on"),
        ("early:eps=2", "eps is a radius from 0 to 1"),
        ("rush:exit=-1", "exit is counted from 0"),
        ("depth:aim=drop,loss=hinge", "aim=drop has no loss"),
        ("depth:exponent=0", "exponent is a number above 0"),
        ("depth:answer=-1", "answer is a worth from 0 on"),
        ("depth-penalised:weight=0", "weight is a number above 0"),
        ("entropy:settle=-1", "settle is a number of steps from 0 on"),
        ("entropy:weight=-1", "weight is a worth from 0 on"),
        ("patch:size=0", "size is a share from 0.05 to 1, not 0; for example size=0.3"),
        ("patch:perspective=1", "perspective is a share from 0 to 0.4"),
        ("universal:output=first", "output is last, exit:K"),
    ],
)
def test_specs_that_cannot_be_served_say_why(text, message):
    with pytest.raises(SpecError, match=message):
        attack(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("deepsloth", "has one exit and cannot stop earlier or later: attack its gates with depth"),
        ("rush", "has one exit"),
        ("early", "has one exit"),
        ("depth", "has no policy that decides about gates: attack its exits with deepsloth or rush"),
        ("depth-penalised", "has no policy"),
        ("entropy", "has no policy"),
    ],
)
def test_a_target_without_the_mechanism_is_refused(gated, images, labels, text, message):
    with pytest.raises(ValueError, match=f"toy {message}"):
        crafted(text, Target(gated, name="toy"), images, labels)


def test_an_exit_that_is_not_early_is_refused(with_exits, images, labels):
    with pytest.raises(ValueError, match="exit=2 is none to stop early at: those are 0 to 1"):
        crafted("rush:exit=2", Target(with_exits), images, labels)


def test_flipped_is_all_early_exits_and_not_the_last():
    one, other = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    scores = [torch.stack((other, other, one)), torch.stack((other, one, other)), torch.stack((one, one, one))]
    assert flipped(scores, torch.zeros(3).long()).tolist() == [True, False, False]
