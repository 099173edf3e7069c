from __future__ import annotations

import pytest
import torch

from export.training.examples import BatchOrder

pytestmark = pytest.mark.torch


def test_an_epoch_meets_each_example_once_and_the_next_in_another_order():
    order = BatchOrder(12, 4, seed=3)
    first, second = (torch.cat([order.rows(3 * epoch + step) for step in range(3)]) for epoch in range(2))
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(12))
    assert not torch.equal(first, second)
    assert torch.equal(BatchOrder(12, 4, seed=3).rows(4), second[4:8])


def test_fewer_examples_than_a_batch_are_refused_with_both_numbers():
    with pytest.raises(ValueError, match="15 training images do not fill a batch of 16"):
        BatchOrder(15, 16, seed=0)


def test_every_seed_that_the_command_line_takes_gives_an_order():
    largest = 10**18 - 1
    assert not torch.equal(BatchOrder(50, 50, largest).rows(0), BatchOrder(50, 50, largest - 1).rows(0))
