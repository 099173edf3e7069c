"""Every planted defence is caught by the item that should catch it, and sound networks pass."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from broken_defences import (
    CLASSES,
    GREY,
    GlobalNoise,
    Linear,
    NoGradient,
    NoiseInTraining,
    OneStep,
    RoundedInput,
    ScaledSoftmax,
    TwoExits,
    examples,
)

from bench.attacks.apgd import APGD
from bench.attacks.gates import Way
from bench.attacks.output import Output
from bench.attacks.pgd import PGD
from bench.attacks.target import Target
from bench.registry import make
from bench.robustness.checklist import ITEMS, checked
from bench.robustness.checklist.base import mean_within, outdone, share_within, together
from bench.robustness.defence import Defence, drawn_routes
from bench.robustness.kept import Attacked, Kept
from bench.robustness.laboratory import Effort, Laboratory, reference_attack

pytestmark = pytest.mark.torch

AMPLITUDES = 3 * list(range(1, 33, 2))
ASK = {item.number: item.ask for item in ITEMS}


def defence(network, *, is_random=False):
    name = type(network).__name__ + str(getattr(network, "fragile", ""))
    return Defence(Target(network.eval(), None, name, is_noisy=is_random), name, Way("full"))


def laboratory(network, amplitudes=AMPLITUDES, levels=8, **options):
    frames, labels = examples(amplitudes)
    return Laboratory(
        defence(network, **options),
        frames,
        labels,
        PGD(Fraction(levels, 255), steps=8),
        Kept(draws_seed=1),
        levels=[Fraction(levels, 2), Fraction(2 * levels)],
        undefended=replace(defence(Linear(fragile=20.0)), digest="undefended"),
        trained=defence(Linear()),
        effort=Effort(noise=10, queries=40),
    )


def test_there_are_22_items_in_order():
    assert [item.number for item in ITEMS] == list(range(1, 23))


def test_a_sound_network_passes_everything_that_applies():
    verdicts = {each.item.number: each.outcome for each in checked(laboratory(Linear()))}
    waived = {number for number, outcome in verdicts.items() if outcome.verdict == "not applicable"}
    assert waived == {2, 6, 7, 8, 9, 19}, "all that is about gates and draws, and nothing else"
    assert {number: o for number, o in verdicts.items() if number not in waived and o.verdict != "pass"} == {}
    # Right within a radius below its amplitude: 12 of the odd amplitudes up to 31 are above 8.
    assert verdicts[5].figure.startswith("75.0% over 20 fresh draws")
    assert verdicts[15].figure == "0: 100.0%, 4: 87.5%, 8: 75.0%, 16: 50.0%, any change: 0.0%"


@pytest.mark.parametrize(
    ("network", "items", "figure"),
    [
        (ScaledSoftmax, (11, 17, 18, 20), "dlr 75.0%"),
        (RoundedInput, (17, 18), "images with a zero gradient 100.0%"),
        (NoGradient, (17, 18), "images with a zero gradient 100.0%"),
    ],
)
def test_gradients_that_are_hidden_are_missed(network, items, figure):
    lab = laboratory(network())
    found = {number: ASK[number](lab) for number in items}
    assert {number: outcome.verdict for number, outcome in found.items()} == dict.fromkeys(items, "fail")
    assert figure in found[items[0]].figure


@pytest.mark.parametrize(
    ("network", "items", "figure"),
    [
        (GlobalNoise, (2,), "seeding torch, numpy and Python repeats the answers"),
        (NoiseInTraining, (2, 3), "in eval mode no draw differs"),
    ],
)
def test_randomness_that_is_none_is_seen_through(network, items, figure):
    lab = laboratory(network(), is_random=True)
    found = [ASK[number](lab) for number in items]
    assert [each.verdict for each in found] == ["fail"] * len(items)
    assert figure in found[0].figure


def routes_of_everybody(keep):
    drawn = np.random.random(keep.shape) < keep  # noqa: NPY002 (that is what is wrong with it)
    return ["".join("01"[bit] for bit in row.astype(int)) for row in drawn]


@pytest.mark.parametrize(
    ("routes", "verdict", "figure"),
    [
        (drawn_routes, "pass", "seeding torch, numpy and Python does not repeat the routes"),
        (routes_of_everybody, "fail", "repeats the routes: they come from a global generator"),
        (lambda keep: ["10"] * len(keep), "fail", "in eval mode no draw differs"),
    ],
)
def test_gates_are_asked_of_what_draws_them_on_a_board(routes, verdict, figure):
    """In torch the gates of all three are drawn alike, by a generator of the attack's."""
    from export.networks.policy import DecisionNetwork
    from export.networks.resnet import GatedResNet

    policy = DecisionNetwork(2, initial_keep=0.5)
    target = Target(GatedResNet((4,), (2,), CLASSES).eval(), policy.eval(), "gated")
    outcome = ASK[2](replace(laboratory(Linear()), defence=Defence(target, "gated", routes=routes)))
    assert (outcome.verdict, figure in outcome.figure) == (verdict, True), outcome.figure


def test_the_global_generators_are_left_as_they_were():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    ASK[2](laboratory(Linear()))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


def test_noise_that_nobody_speaks_of_is_told():
    outcome = ASK[3](laboratory(GlobalNoise()))
    assert (outcome.verdict, outcome.figure) == ("fail", "answers change though nothing is drawn")


def test_noise_is_averaged_as_often_as_asked():
    """One draw in two turns an answer around at amplitude 1: by one draw an image is right or wrong, by 20 in part."""
    lab = laboratory(GlobalNoise(), amplitudes=[1] * 12, is_random=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        clean = lab.clean()
        made = lab.under(replace(lab.attack, eot="5")).adversarial
        curve = ASK[6](lab)
    shares = (clean.answers == clean.labels).mean(0)
    assert clean.answers.shape == (20, 12)
    assert ((shares > 0) & (shares < 1)).all()
    assert made.gradients.tolist() == [5 * lab.attack.steps] * 12
    assert curve.figure.startswith("eot 1 ")


def test_resisting_one_step_is_not_enough():
    lab = laboratory(OneStep(), amplitudes=[16] * 12, levels=32)
    outcome = ASK[14](lab)
    assert (outcome.verdict, outcome.figure) == ("fail", "fgsm 100.0%, pgd 0.0%: it resists one step only")


def test_an_attack_that_gives_up_early_is_found_out():
    lab = laboratory(Linear(), amplitudes=[5] * 16)
    # Two steps of two levels move 3.5 of a radius of eight, from a random start; four move 6.
    lab = replace(lab, attack=PGD(Fraction(8, 255), steps=2, step=Fraction(2, 255)))
    assert {number: ASK[number](lab).verdict for number in (14, 16)} == {14: "fail", 16: "fail"}


@pytest.mark.parametrize(
    ("method", "reference"),
    [
        ("apgd:steps=7,loss=dlr,eot=3", APGD(Fraction(4, 255), loss="dlr", eot="3", steps=7)),
        ("pgd:steps=7,step=1/255", PGD(Fraction(4, 255), steps=7, step=Fraction(1, 255))),
        ("mifgsm:steps=7,eot=3", PGD(Fraction(4, 255), eot="3", steps=7)),
        ("square:queries=3", PGD(Fraction(4, 255), eot="20", output="taken:0.9")),
    ],
)
def test_the_reference_is_the_first_method(method, reference):
    attack, _ = make("attacks", method)
    output = Output("taken", thresholds=(0.9,)) if method.startswith("square") else Output("last")
    assert reference_attack(attack, Fraction(4, 255), output) == reference


@pytest.mark.parametrize(
    ("count", "values", "verdict"),
    [(40, 0.0, "pass"), (30, 0.0, "unclear"), (40, 0.1, "unclear"), (40, 0.3, "fail"), (4, 0.25, "unclear")],
)
def test_a_share_is_judged_by_its_interval(count, values, verdict):
    """Wilson's: of 35 images none, the upper end is z^2 / (35 + z^2) = 9.9%."""
    shares = np.arange(count) < round(values * count)
    assert share_within(shares.astype(float), 0.1) == verdict


def test_a_mean_is_judged_by_two_standard_errors():
    values = np.array([0.0, 1.0, 0.0, 1.0])
    error = 2 * values.std(ddof=1) / 2
    assert [mean_within(values, 0.5 + shift * error) for shift in (-1.01, -0.99, 0.99, 1.01)] == [
        "fail",
        "unclear",
        "unclear",
        "pass",
    ]
    assert mean_within(np.full(3, 0.3), 0.3) == "pass", "equal but for rounding"


def test_the_worst_of_several_verdicts_counts():
    assert [together(each) for each in ((), ("pass",), ("unclear", "pass"), ("unclear", "fail"))] == [
        "pass",
        "pass",
        "unclear",
        "fail",
    ]


@pytest.mark.parametrize(("images", "verdict"), [(12, "pass"), (4, "unclear")])
def test_few_images_do_not_show_that_an_attack_reaches_the_end(images, verdict):
    assert ASK[15](laboratory(Linear(), amplitudes=list(range(9, 33))[:images])).verdict == verdict


@pytest.mark.parametrize(
    ("fragile", "trained", "verdict"),
    [(20.0, False, "pass"), (0.0, False, "fail"), (0.0, True, "pass")],
)
def test_a_fixed_route_falls_at_the_radius_that_is_judged(monkeypatch, fragile, trained, verdict):
    """A route that stands by its weights stands as far as training makes one stand."""
    lab = laboratory(Linear(fragile))
    lab = replace(lab, trained=lab.trained if trained else None)
    monkeypatch.setattr(Laboratory, "draws_gates", True)
    outcome = ASK[7](lab)
    assert outcome.verdict == verdict, outcome.figure
    assert ("--trained would tell" in outcome.figure) == (verdict == "fail")


def test_one_step_that_does_much_of_the_harm_is_ordinary():
    """Half of the images fall to one step and all to many: more than half the clean accuracy lies between."""
    lab = laboratory(Linear(), amplitudes=[9, 6] * 8)
    lab = replace(lab, attack=PGD(Fraction(8, 255), steps=8))
    rights = {type(lab.one_step): [1, 0] * 8, PGD: [0] * 16}

    class Fixed(Laboratory):
        def under(self, attack=None, **where):
            labels = self.labels
            right = np.array(rights[type(attack or self.attack)], bool)
            return Attacked(np.where(right, labels, labels + 1)[None], labels)

    fixed = Fixed(**{each.name: getattr(lab, each.name) for each in fields(lab)})
    assert ASK[14](fixed).verdict == "pass"
    rights[type(lab.one_step)] = [1] * 16
    assert ASK[14](fixed).verdict == "fail"


def test_the_worst_case_counts_all_that_was_run(gated):
    network, policy = gated
    frames, labels = examples([9] * 4)
    asked = []

    class Counting(Laboratory):
        def under(self, attack=None, *, on=None, by=None):
            asked.append((attack or self.attack, by or self.defence))
            return Attacked(np.tile(self.labels, (2, 1)), self.labels)

    lab = Counting(
        Defence(Target(network, policy, "gated"), "gated"),
        frames,
        labels,
        PGD(Fraction(8, 255), steps=2, eot="2"),
        Kept(),
        undefended=defence(Linear(fragile=20.0)),
        effort=Effort(noise=1, queries=2, curve=(1, 2)),
    )
    for number in (6, 8, 9, 10, 11, 12, 13, 14, 16):
        ASK[number](lab)
    before = set(asked)
    asked.clear()
    ASK[20](lab)
    assert before <= set(asked)
    assert len(asked) - 1 == len(set(asked)), "each once, and the reference beside them"


def test_a_sound_network_passes_with_apgd_as_the_reference():
    lab = replace(laboratory(Linear()), attack=APGD(Fraction(8, 255), steps=10))
    found = {number: ASK[number](lab) for number in ASK}
    assert {n for n, outcome in found.items() if outcome.verdict not in ("pass", "not applicable")} == set()
    assert found[1].figure.startswith("apgd, linf 8/255, 10 steps that shorten themselves")


def test_pgd_whose_steps_do_not_arrive_is_outdone_by_apgd():
    lab = laboratory(Linear(), amplitudes=[5] * 16)
    short = replace(lab, attack=PGD(Fraction(8, 255), steps=8, step=Fraction(1, 1020)))
    outcome = ASK[11](short)
    assert outcome.verdict == "fail"
    assert "apgd-ce 0.0%, apgd-dlr 0.0%" in outcome.figure


def test_chance_is_that_of_the_classes_however_the_images_fell():
    frames, labels = examples(AMPLITUDES)
    lab = laboratory(Linear())
    one_class = replace(lab, frames=frames[labels == 0], labels=labels[labels == 0])
    assert (lab.chance, one_class.chance) == (0.25, 0.25)
    assert (lab.commonest, one_class.commonest) == (0.25, 1.0)
    assert ASK[4](one_class).verdict == "unclear"


def test_an_undefended_network_that_stands_shows_a_weak_attack():
    lab = replace(laboratory(Linear()), undefended=defence(Linear()))
    assert ASK[21](lab).verdict == "fail"


@pytest.mark.parametrize(("slope", "verdict", "lost"), [(0.0, "pass", "0%"), (1000.0, "fail", "89%")])
def test_a_policy_that_an_image_can_talk_into_keeping_everything_saves_nothing(slope, verdict, lost):
    from export.networks.resnet import GatedResNet

    class Brightness(torch.nn.Module):
        """Keeps one block in ten of an image that is darker than the grey of the examples and one level."""

        def forward(self, images):
            share = torch.sigmoid(slope * (images.mean((1, 2, 3)) - (GREY + 1) / 255))
            return (0.1 + 0.8 * share).unsqueeze(1).expand(-1, 2)

    target = Target(GatedResNet((4,), (2,), CLASSES).eval(), Brightness(), "gated")
    outcome = ASK[19](replace(laboratory(Linear()), defence=Defence(target, "gated")))
    assert (outcome.verdict, f": {lost} of the saving lost" in outcome.figure) == (verdict, True), outcome.figure


def test_an_attack_on_an_exit_that_does_not_answer_is_found_out():
    lab = laboratory(TwoExits(), amplitudes=[14] * 12)
    stops = replace(lab.defence, output=Output("taken", thresholds=(0.0,)))
    outcome = ASK[9](replace(lab, defence=stops))
    assert (outcome.verdict, outcome.figure) == ("fail", "output last 100.0%, output all 0.0%, output taken:0.0 0.0%")
    adapted = replace(lab.attack, output=stops.output.spec)
    assert ASK[9](replace(lab, defence=stops, attack=adapted)).verdict == "pass"


@pytest.mark.parametrize(
    ("threshold", "verdict", "figure"),
    [
        # No change makes a quarter of four classes less than a quarter.
        (0.25, "pass", "50.0% runs, attacked 50.0%: 0% of the saving lost; hurried 50.0%, and 0.0% right"),
        (0.6, "fail", "50.0% runs, attacked 100.0%: 100% of the saving lost; hurried 50.0%, and 0.0% right"),
    ],
)
def test_exits_that_an_image_can_talk_out_of_stopping_save_nothing(threshold, verdict, figure):
    lab = laboratory(TwoExits(), amplitudes=[12] * 12)
    outcome = ASK[19](replace(lab, defence=replace(lab.defence, output=Output("taken", thresholds=(threshold,)))))
    assert (outcome.verdict, figure in outcome.figure) == (verdict, True), outcome.figure


def test_less_than_adversarial_training_gives_is_a_failure():
    lab = laboratory(Linear())
    lab = replace(lab, defence=lab.undefended, trained=lab.defence)
    assert ASK[22](lab).verdict == "fail"


def test_too_few_images_leave_a_difference_unclear():
    reference = np.array([1.0, 1.0, 1.0, 1.0])
    rivals = {"pass": [1.0, 1.0, 1.0, 1.0], "unclear": [0.0, 1.0, 1.0, 1.0], "fail": [0.0, 0.0, 0.0, 0.0]}
    for verdict, right in rivals.items():
        assert outdone([np.array(right)], reference, "").verdict == verdict


@pytest.fixture(scope="module")
def gated():
    """A narrow network with two gates, trained on adversarial examples and random routes, and its policy."""
    from export.networks.policy import DecisionNetwork
    from export.networks.resnet import GatedResNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, policy = GatedResNet((8,), (2,), CLASSES), DecisionNetwork(2, initial_keep=0.7).requires_grad_(False)
        policy.linear.weight.normal_(0.0, 0.1)
        optimizer = torch.optim.Adam(network.parameters(), 0.01)
        generator = np.random.default_rng(0)
        for _ in range(40):
            frames, labels = examples(generator.integers(4, 60, 32).tolist())
            images, targets = torch.from_numpy(frames) / 255, torch.from_numpy(labels)
            target = Target(network.eval(), policy.eval())
            attack = PGD(Fraction(8, 255), steps=2, step=Fraction(8, 255))
            made = attack.craft(target, images, targets, torch.Generator().manual_seed(1)).images
            network.train()
            scores = network.forward_sparse(made, torch.rand(len(made), 2) < 0.7)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(scores, targets).backward()
            optimizer.step()
    return network.eval().requires_grad_(False), policy.eval().requires_grad_(False)


@pytest.mark.slow
def test_a_sound_random_defence_passes_everything(gated):
    network, policy = gated
    # What lies near the radius is decided by the dice, and leaves most to the worst of many attacks.
    frames, labels = examples([*(4 * [3, 4, 5, 6]), *range(20, 60)])
    defended = Defence(Target(network, policy, "gated"), "gated")
    lab = Laboratory(
        defended,
        frames,
        labels,
        PGD(Fraction(8, 255), steps=12, eot="exact"),
        Kept(draws_seed=1),
        undefended=defence(Linear(fragile=20.0)),
        trained=defended.full(),
        effort=Effort(noise=5, queries=20, curve=(1,)),
    )
    verdicts = {each.item.number: each.outcome for each in checked(lab)}
    assert {number: outcome for number, outcome in verdicts.items() if outcome.verdict != "pass"} == {}
