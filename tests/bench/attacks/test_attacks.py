from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch import nn

from bench.attacks.apgd import APGD
from bench.attacks.ball import check
from bench.attacks.fgsm import FGSM
from bench.attacks.losses import cross_entropy
from bench.attacks.momentum import MomentumFGSM
from bench.attacks.pgd import PGD
from bench.attacks.square import Square
from bench.attacks.target import Target
from bench.spec import SpecError, build, format_spec, parse_spec

pytestmark = pytest.mark.torch

NAMES = {"fgsm": FGSM, "pgd": PGD, "mifgsm": MomentumFGSM, "apgd": APGD, "square": Square}
EVERY = [
    "fgsm:8/255",
    "fgsm:1/2,norm=l2",
    "fgsm:8/255,eot=3,gates=soft",
    "pgd:eps=8/255,steps=4,eot=exact",
    "pgd:eps=1/2,norm=l2,steps=4,restarts=2,gates=detached",
    "pgd:eps=8/255,steps=4,keep=best,gates=mean,output=all",
    "mifgsm:eps=8/255,steps=4,gates=likeliest,output=exit:1",
    "mifgsm:eps=1/2,norm=l2,steps=4",
    "apgd:eps=8/255,steps=12,restarts=2,eot=2",
    "apgd:eps=1/2,norm=l2,steps=12,loss=dlr,gates=full",
    "square:eps=8/255,queries=40,eot=2,output=taken:0.4",
]


def attack(text):
    spec = parse_spec(text)
    return build(spec, NAMES[spec.name])


@pytest.mark.parametrize("text", EVERY)
def test_every_attack_stays_inside_repeats_and_raises_the_loss(with_exits, policy, images, text):
    target, made = Target(with_exits, policy), attack(text)
    labels = with_exits(images)[-1].argmax(1)
    first, second = (made.craft(target, images, labels, torch.Generator().manual_seed(5)) for _ in range(2))
    check(first.images, images, made.ball)
    assert torch.equal(first.images, second.images)
    assert not first.zero_gradients.any()
    assert not first.non_finite_gradients.any()
    assert first.gradients + first.queries > 0
    way = replace(made, eot="exact", gates="straight-through")
    losses = [
        way.gradients(target, labels, torch.Generator()).ask(each).losses.sum() for each in (images, first.images)
    ]
    assert losses[1] > losses[0]


@pytest.mark.parametrize("text", [*EVERY, "pgd", "apgd", "square"])
def test_specs_are_written_as_they_are_read(text):
    made = attack(text)
    name = text.partition(":")[0]
    assert attack(format_spec(name, type(made)() if text == name else made)) == made


def test_gradients_and_queries_are_counted(gated, policy, images, labels):
    target, generator = Target(gated, policy), torch.Generator().manual_seed(0)
    spent = {
        "pgd:steps=3,eot=5": (15, 0),
        "pgd:steps=2,restarts=2,eot=3": (12, 6),
        "pgd:steps=2,eot=exact": (16, 0),
        "pgd:steps=3,eot=5,gates=full": (3, 0),
        "apgd:steps=5,eot=2": (12, 0),
    }
    for text, expected in spent.items():
        made = attack(text).craft(target, images, labels, generator)
        assert (made.gradients, made.queries) == expected, text


def test_square_trusts_no_lucky_draw(gated, policy, images):
    """A kept image is asked again, so that it is not kept for its draws: its expected loss rises, to the last try."""
    target = Target(gated, policy)
    exact = replace(attack("square:eps=8/255"), eot="exact", gates="straight-through")
    labels = exact.gradients(target, torch.zeros(4).long(), torch.Generator()).ask(images).probabilities.argmax(1)

    def expected(pixels):
        return exact.gradients(target, labels, torch.Generator()).ask(pixels).losses

    found = [
        attack("square:eps=16/255,queries=60").craft(target, images, labels, torch.Generator().manual_seed(seed))
        for seed in range(3)
    ]
    assert [each.queries for each in found] == [2 * 59] * 3, "one draw that fools ends nothing"
    rises = torch.stack([expected(each.images) - expected(images) for each in found])
    assert rises.mean() > 0


def test_restarts_and_best_iterates_are_never_worse(gated, images, labels):
    target = Target(gated)

    def loss(text):
        made = attack(text).craft(target, images, labels, torch.Generator().manual_seed(0))
        return cross_entropy(gated(made.images), labels), gated(made.images).argmax(1) != labels

    for one, other in (("pgd:steps=3", "pgd:steps=3,restarts=4"), ("pgd:steps=6", "pgd:steps=6,keep=best")):
        (before, fooled_before), (after, fooled_after) = loss(one), loss(other)
        assert (fooled_after >= fooled_before).all()
        assert (after >= before - 1e-9)[fooled_after == fooled_before].all()


@pytest.fixture
def linear():
    """Two classes; the gradient of any loss runs along the difference of their weights."""
    layer = nn.Linear(3 * 4 * 4, 2).requires_grad_(False)
    layer.weight.normal_(generator=torch.Generator().manual_seed(0))
    return nn.Sequential(nn.Flatten(), layer), (layer.weight[1] - layer.weight[0]).view(1, 3, 4, 4)


@pytest.mark.parametrize(
    "text", ["fgsm:1/10", "pgd:1/10,steps=8", "mifgsm:1/10", "apgd:1/10,steps=10", "fgsm:1/10,loss=margin"]
)
def test_on_a_linear_network_linf_attacks_find_the_corner(linear, text):
    network, direction = linear
    images, labels = torch.full((2, 3, 4, 4), 0.95), torch.tensor([0, 0])
    found = attack(text).craft(Target(network), images, labels, torch.Generator().manual_seed(0)).images
    torch.testing.assert_close(found, (images + 0.1 * direction.sign()).clamp(0, 1))


@pytest.mark.parametrize("text", ["fgsm:1/10,norm=l2", "pgd:1/10,norm=l2,steps=60", "apgd:1/10,norm=l2,steps=40"])
def test_on_a_linear_network_l2_attacks_go_straight(linear, text):
    network, direction = linear
    images, labels = torch.full((2, 3, 4, 4), 0.5), torch.tensor([0, 0])
    found = attack(text).craft(Target(network), images, labels, torch.Generator().manual_seed(0)).images
    expected = images + 0.1 * direction / direction.norm()
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)


def test_a_radius_of_zero_gives_the_image(gated, policy, images, labels):
    for name in NAMES:
        made = build(parse_spec(f"{name}:0"), NAMES[name])
        if name == "square":
            made = replace(made, queries=3)
        found = made.craft(Target(gated, policy), images, labels, torch.Generator().manual_seed(0))
        assert torch.equal(found.images, images), name


def test_momentum_of_a_zero_gradient_spoils_nothing():
    def network(images):
        return images.new_zeros(len(images), 2) * images.sum()

    found = MomentumFGSM().craft(Target(network), torch.full((1, 3, 2, 2), 0.5), torch.tensor([0]), torch.Generator())
    assert (found.images == 0.5).all()
    assert found.zero_gradients.tolist() == [10]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pgd:eps=2", "eps is a radius from 0 to 1 .* not 2; for example eps=8/255"),
        ("pgd:eps=8/0", "pgd cannot use eps=8/0: it takes eps .number or fraction: .* for example eps=8/255"),
        ("pgd:eps=-1/255", "eps is a radius"),
        ("pgd:steps=0", "steps is a whole number from 1 to 100000, not 0; for example steps=10"),
        ("pgd:step=0", "step is a length above 0, not 0; for example step=2/255"),
        ("pgd:restarts=2,start=image", "start=random, or restarts=1"),
        ("pgd:eot=0", "eot is a whole number from 1 to 10000 or exact"),
        ("pgd:gates=hard", "gates is straight-through, .* not 'hard'"),
        ("pgd:output=exit", "output is last, exit:K"),
        ("pgd:norm=l3", "norm=l3: it takes norm .linf or l2., for example norm=linf"),
        ("pgd:loss=mse", "loss=mse: it takes loss .ce or dlr or margin."),
        ("pgd:epsilon=1", "pgd has no option 'epsilon'"),
        ("mifgsm:decay=2", "decay is a share from 0 to 1"),
        ("apgd:rho=2", "rho is a share from 0 to 1"),
        ("square:norm=l2", "choose apgd or pgd for norm=l2"),
        ("square:share=0", "share is a share of pixels"),
    ],
)
def test_specs_that_cannot_be_served_say_why(text, message):
    with pytest.raises(SpecError, match=message):
        attack(text)


def test_a_fraction_is_exact():
    assert attack("pgd:8/255").eps == Fraction(8, 255)
    assert format_spec("pgd", PGD(Fraction(16, 255))) == "pgd:16/255"
