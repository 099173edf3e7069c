from __future__ import annotations

import math

import numpy as np
import pytest

from bench.attacks.metrics import (
    computation,
    early_success,
    early_transfer,
    exit_shift,
    first_changed_exit,
    psnr_db,
    recovery,
    success_at_exits,
    transfer_success,
)
from bench.exits.efficacy import efficacy, threshold_for
from bench.exits.table import ExitTable


def test_a_shift_is_counted_in_exits():
    found = exit_shift([0, 0, 1, 3], [0, 2, 3, 2])
    assert (found.shifts.tolist(), found.counts.tolist()) == ([-1, 0, 2], [1, 1, 2])
    assert found.above_one.value == 0.5
    assert found.mean is None, "four images tell no mean with an interval"
    assert exit_shift([0] * 20, [1, 2] * 10).mean.value == 1.5


def test_the_first_exit_that_changes():
    benign = [[4, 4, 4], [1, 2, 2], [3, 3, 3], [5, 5, 5]]
    adversarial = [[4, 0, 0], [1, 2, 2], [0, 3, 3], [5, 5, 1]]
    assert first_changed_exit(benign, adversarial).tolist() == [1, 3, 0, 2]


def test_success_at_every_exit():
    found = success_at_exits([[0, 1], [0, 0], [2, 2], [1, 0]], [0, 0, 2, 2])
    assert [each.value for each in found] == [0.25, 0.5]
    assert all(each.low <= each.value <= each.high for each in found)


def test_early_attack_succeeds_where_only_the_last_exit_keeps_its_answer():
    answers = [[1, 2, 0], [0, 2, 0], [1, 2, 3], [1, 1, 0]]
    assert early_success([0, 0, 0, 0], answers).tolist() == [True, False, False, True]


def test_early_transfer_counts_flips_among_those_that_stay():
    found = early_transfer([0, 0, 0, 0], [[1, 2, 0], [0, 2, 0], [1, 2, 3], [0, 0, 0]])
    assert (found.kept.value, found.flipped) == (0.75, 1.0)
    assert early_transfer([0], [[1, 1]]).flipped is None


def test_psnr_of_a_constant_change():
    images = np.full((3, 3, 4, 4), 0.5)
    changed = images + np.array([0.1, 8 / 255, 0.0]).reshape(3, 1, 1, 1)
    assert psnr_db(images, changed).tolist() == pytest.approx([20.0, -20 * math.log10(8 / 255), math.inf])
    assert psnr_db(images[:1] * 255, changed[:1] * 255, 255).tolist() == pytest.approx([20.0])


def test_transfer_counts_what_was_made():
    answers, labels = [0, 1, 1, 1], [0, 0, 0, 1]
    assert transfer_success(answers, labels).value == 0.5
    assert transfer_success(answers, labels, [True, True, False, False]).value == 0.5
    assert transfer_success(answers, labels, [False, True, True, False]).value == 1.0
    assert transfer_success(answers, labels, [False] * 4) is None


def test_recovery_is_the_share_of_the_saving_that_is_gone():
    clean, adversarial = [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]]
    assert computation(clean).tolist() == [0.5, 0.5]
    assert recovery(clean, adversarial) == 0.5
    assert recovery(clean, np.ones((2, 3))) == 1.0
    assert recovery(adversarial, clean) == -1.0
    assert recovery(np.ones((2, 3)), clean) is None


def test_efficacy_by_trapezoids_and_by_steps():
    """By hand: exits at 0.25, 0.5 and 1; half of the frames leave at the first, a quarter at each of the others."""
    found = efficacy([0, 0, 1, 2], [0.25, 0.5, 1.0])
    assert found.step.mean() == 1 - (0.5 * 0.25 + 0.25 * 0.5 + 0.25)
    shares, left = [0, 0.25, 0.5, 1], [0, 0.5, 0.75, 1]
    area = sum((shares[i + 1] - shares[i]) * (left[i] + left[i + 1]) / 2 for i in range(3))
    assert found.trapezoid.mean() == pytest.approx(area)
    assert (found.trapezoid >= found.step).all()


@pytest.mark.parametrize("shares", [[0.5, 0.2, 1.0], [0.5, 0.9], [-0.1, 1.0], []])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(ValueError, match="rise from 0 to 1"):
        efficacy([0], shares)


def test_exits_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="exits are 0 to 1"):
        efficacy([2], [0.5, 1.0])


def test_the_threshold_is_the_smallest_that_is_right_enough():
    certainty = np.array([[0.30, 1], [0.52, 1], [0.81, 1], [0.94, 1]])
    right = np.array([[False, True], [False, True], [True, True], [True, True]])
    table = ExitTable(certainty, right, np.array([1.0, 2.0]), 2.0)
    assert threshold_for(table, 0.05) == pytest.approx(0.55)
    assert threshold_for(table, 0.3) == pytest.approx(0.35)
    never = ExitTable(np.full((4, 2), 0.99), np.array([[False, True]] * 4), np.array([1.0, 2.0]), 2.0)
    assert threshold_for(never, 0.05) is None
