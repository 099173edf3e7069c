"""How unpredictable a choice was."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def entropy_bits(counts: Iterable[int]) -> float:
    """The plug-in (maximum likelihood) entropy, in bits, of outcomes seen `counts` times each; 0 for none.

    It is biased low, by about (outcomes - 1) / (2 n ln 2) bits (Miller, 1955), and cannot exceed log2(n): a defence
    looks no more random than it is.  Over different frames it holds what the content decides as well as what was drawn.
    """
    seen = np.array([count for count in counts if count > 0], dtype=np.float64)
    if len(seen) < 2:
        return 0.0
    share = seen / seen.sum()
    return float(-(share * np.log2(share)).sum())
