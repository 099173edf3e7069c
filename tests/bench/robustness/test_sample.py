from __future__ import annotations

import numpy as np
import pytest

from bench.robustness.sample import spread

SORTED = np.repeat([0, 1, 2, 7], [50, 30, 1, 19])


@pytest.mark.parametrize("count", [4, 9, 60])
def test_a_sorted_stream_gives_every_class_its_turn(count):
    rows = spread(SORTED, count, seed=3)
    assert len(rows) == count
    assert (np.diff(rows) > 0).all()
    counts = np.unique(SORTED[rows], return_counts=True)[1]
    # As even as can be: nobody has two more than another that has some left.
    left = [50, 30, 1, 19]
    assert all(most - few <= 1 or few == own for most in counts for few, own in zip(counts, left, strict=True))
    assert spread(SORTED, count, seed=3).tolist() == rows.tolist()
    assert spread(SORTED, count, seed=4).tolist() != rows.tolist()


def test_fewer_images_than_classes_are_of_different_classes():
    labels = np.repeat(np.arange(43), 10)
    assert len(set(labels[spread(labels, 16, seed=0)])) == 16


def test_all_are_taken_where_there_are_no_more():
    assert spread(SORTED, 1000, seed=0).tolist() == list(range(100))
