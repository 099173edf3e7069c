"""The order of twins, and which frames of a mixed stream are attacked."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.interleaving import attacked, turns


def test_versions_go_forwards_and_backwards() -> None:
    assert list(turns(3, 2)) == [(0, 0), (0, 1), (1, 1), (1, 0), (2, 0), (2, 1)]


def test_a_block_shows_many_pairs_in_one_version() -> None:
    assert list(turns(3, 2, block=2)) == [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (2, 0)]


@given(st.integers(0, 40), st.integers(1, 3), st.integers(1, 12))
def test_every_version_of_every_pair_is_shown_once(pairs: int, versions: int, block: int) -> None:
    order = list(turns(pairs, versions, block))
    assert sorted(order) == [(pair, version) for pair in range(pairs) for version in range(versions)]


@given(st.integers(1, 20))
def test_drift_hits_both_versions_alike(quadruples: int) -> None:
    places: Counter[int] = Counter()
    for place, (_, version) in enumerate(turns(2 * quadruples, 2)):
        places[version] += place
    assert places[0] == places[1]


shares = st.floats(0, 1)
seeds = st.integers(0, 2**32)


@given(st.integers(0, 300), shares, seeds)
def test_the_share_is_exact_and_drawn_by_seed(frames: int, share: float, seed: int) -> None:
    chosen = attacked(frames, share, None, seed)
    assert chosen.shape == (frames,)
    assert chosen.sum() == round(share * frames)
    assert (chosen == attacked(frames, share, None, seed)).all()


@given(st.integers(1, 300), st.floats(0, 0.5), st.integers(1, 20), seeds)
def test_bursts_are_as_long_as_asked_and_never_touch(frames: int, share: float, burst: int, seed: int) -> None:
    chosen = attacked(frames, share, burst, seed)
    runs = sorted(len(list(run)) for is_attacked, run in groupby(chosen.tolist()) if is_attacked)
    count = round(share * frames)
    left_over = [count % burst] if count % burst else []
    assert runs == sorted([burst] * (count // burst) + left_over)


def test_every_arrangement_of_bursts_is_as_likely() -> None:
    seen = Counter(tuple(attacked(5, 0.6, 2, seed).tolist()) for seed in range(3000))
    # A burst of 2 and one of 1 in either order, in two of three gaps.
    assert len(seen) == 6
    assert all(400 < count < 600 for count in seen.values())


def test_another_seed_attacks_other_frames() -> None:
    assert len({attacked(100, 0.3, None, seed).tobytes() for seed in range(20)}) == 20


def test_bursts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="9 bursts of 1 do not fit between 1 clean frames: choose longer bursts"):
        attacked(10, 0.9, 1, 0)


@pytest.mark.parametrize("share", [-0.1, 1.1, np.nan])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="is none: choose a number from 0 to 1, such as"):
        attacked(10, share, None, 0)
