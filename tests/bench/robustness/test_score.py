from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from bench.attacks.pgd import PGD
from bench.attacks.transfer import Transfer
from bench.robustness.radius import at_radius
from bench.robustness.score import scored, worst_for_each
from bench.spec import SpecError

pytestmark = pytest.mark.torch


def test_a_score_by_hand():
    labels = np.array([0, 1, 2, 0])
    answers = np.array(
        [
            [0, 1, 2, 0],
            [0, 2, 0, 1],
            [0, 1, 1, 1],
            [0, 2, 2, 2],
        ]
    )
    score = scored(answers, labels)
    assert (score.mean.value, score.mean.n, score.draws) == (pytest.approx(9 / 16), 4, 4)
    assert score.worst.value == 1 / 4
    # The second is a tie, and lost; the third has two of four votes and no rival with as many.
    assert score.majority.value == 2 / 4
    assert score.mean.low < 9 / 16 < score.mean.high


def test_the_worst_attack_for_each_image_by_hand():
    """Image 0 falls to the second attack only, image 1 to the first; what decides are draws 0 and 2 of four."""
    labels = np.array([0, 1])
    first = np.array([[0, 2], [0, 1], [0, 2], [0, 2]])
    second = np.array([[1, 1], [2, 1], [1, 1], [0, 1]])
    assert worst_for_each([first, second], labels).tolist() == [[2, 1], [0, 2]]
    # One draw has no other half.
    assert worst_for_each([first[:1], second[:1]], labels).tolist() == [[1, 2]]


def test_one_draw_has_one_figure():
    generator = np.random.default_rng(0)
    labels, answers = generator.integers(0, 3, 50), generator.integers(0, 3, (1, 50))
    score = scored(answers, labels)
    assert score.mean == score.worst == score.majority
    assert score.mean.value == (answers[0] == labels).mean()


@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
def test_nothing_has_no_score(shape):
    with pytest.raises(ValueError, match="at least one image in one draw"):
        scored(np.zeros(shape, np.int64), np.zeros(shape[1], np.int64))


def test_a_method_gets_its_radius():
    attack, spec = at_radius("pgd:steps=3,loss=dlr", Fraction(4, 255))
    assert isinstance(attack, PGD)
    assert (attack.eps, attack.steps, spec) == (Fraction(4, 255), 3, "pgd:4/255,loss=dlr,steps=3")


def test_transfer_hands_its_radius_on():
    attack, spec = at_radius("transfer:resnet18,attack=pgd:steps=3", Fraction(4, 255))
    assert isinstance(attack, Transfer)
    assert (attack.ball.radius, attack.attack) == (pytest.approx(4 / 255), "pgd:4/255,steps=3")
    assert at_radius(spec.replace("pgd:4/255%2Cs", "pgd:s"), Fraction(4, 255))[1] == spec


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("pgd:eps=4/255", "pgd:eps=4/255 has a radius already: leave eps out"),
        ("pgd:4/255,steps=3", "has a radius already"),
        ("pgd:stepss=3", "pgd has no option 'stepss'"),
        ("transfer:resnet18,attack=pgd:4/255", "pgd:4/255 has a radius already"),
    ],
)
def test_methods_that_cannot_be_varied_say_why(method, message):
    with pytest.raises(SpecError, match=message):
        at_radius(method, Fraction(1, 255))
