"""Learning rates over a training."""

from __future__ import annotations


def one_cycle(step: int, steps: int, peak: float, warm_up: float = 0.15) -> float:
    """Learning rate at `step` of `steps`: linear up to `peak` over the share `warm_up`, then linear down to 0."""
    position = (step + 0.5) / steps
    if position < warm_up:
        return peak * position / warm_up
    return peak * (1.0 - position) / (1.0 - warm_up)
