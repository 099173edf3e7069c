"""In which order clean frames and their adversarial twins are shown: all in turn, or one of each pair."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def turns(pairs: int, versions: int, block: int = 1) -> Iterator[tuple[int, int]]:
    """All versions of all pairs as (pair, version), forwards and backwards in turn: 0A 0B, 1B 1A, 2A 2B, ...

    So drift hits all versions alike, and each comes as often behind itself as behind another.  With a `block` above 1
    so many pairs are shown in one version before the next version's turn: what a sensor of power can tell apart.
    """
    for number, start in enumerate(range(0, pairs, block)):
        order = range(versions) if number % 2 == 0 else reversed(range(versions))
        for version in order:
            for pair in range(start, min(start + block, pairs)):
                yield pair, version


def attacked(frames: int, share: float, burst: int | None, seed: int) -> NDArray[np.bool_]:
    """Which of so many frames are attacked (frames,): `share` of them to the nearest frame, in [0, 1], drawn by `seed`.

    With `burst`, they come in runs of so many (one run has what is left over), with clean frames between them; every
    arrangement is as likely as another.

    Raises:
        ValueError: the clean frames are too few to stand between the bursts.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share of {share:g} is none: choose a number from 0 to 1, such as 0.1")
    generator = np.random.default_rng(seed)
    chosen = np.zeros(frames, np.bool_)
    count = round(share * frames)
    if burst is None:
        chosen[generator.permutation(frames)[:count]] = True
        return chosen
    lengths = [burst] * (count // burst) + ([count % burst] if count % burst else [])
    gaps = frames - count + 1
    if len(lengths) > gaps:
        raise ValueError(
            f"{len(lengths)} bursts of {burst} do not fit between {frames - count} clean frames: choose longer bursts, "
            "or a smaller share"
        )
    before = np.sort(generator.choice(gaps, len(lengths), replace=False))
    done = 0
    for clean, length in zip(before.tolist(), generator.permutation(lengths).tolist(), strict=True):
        chosen[clean + done : clean + done + length] = True
        done += length
    return chosen
