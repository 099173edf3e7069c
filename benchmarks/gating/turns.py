"""Two ways of classifying a frame, measured in turns."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from bench.statistics.quantiles import quantile, quantile_estimate
from edge.network import Route

Image = NDArray[np.float32]
Scores = NDArray[np.float32]
# A frame (1, 3, h, w) -> scores (classes,).
Run = Callable[[Image], Scores]

WARM_UP_FRAMES = 5


@dataclass(frozen=True, slots=True)
class Tax:
    """A latency over that of the static network, median of the groups.

    `low` and `high` are its 95% interval, None where there are too few groups.  `static_us` is the static network's own
    median.
    """

    ratio: float
    low: float | None
    high: float | None
    groups: int
    static_us: float


@dataclass(frozen=True, slots=True)
class RouteTax:
    """The tax of one plan on one route."""

    plan: str
    route: Route
    tax: Tax


def in_turns(
    static: Run,
    other: Run,
    image: Image,
    groups: int,
    settle: Callable[[Run], object] | None = None,
    in_a_row: int = 1,
) -> NDArray[np.int64]:
    """Nanoseconds of a frame (groups, 4) in the order static, other, other, static.

    In this order each way follows itself as often as it follows the other, and a drift cancels.  `settle` is called
    with the way that comes next, outside the time.  With `in_a_row` every turn is that many frames, and its time their
    mean: then the processor's caches hold the way that is measured, as they do where nothing else runs.
    """
    for run in (static, other):
        for _ in range(WARM_UP_FRAMES):
            run(image)
    times = np.empty((groups, 4), np.int64)
    with no_garbage_collection():
        for group in times:
            for turn, run in enumerate((static, other, other, static)):
                if settle is not None:
                    settle(run)
                began = perf_counter_ns()
                for _ in range(in_a_row):
                    run(image)
                group[turn] = (perf_counter_ns() - began) // in_a_row
    return times


def tax_of(times: NDArray[np.int64]) -> Tax:
    """The tax that follows from nanoseconds (groups, 4) in the order static, other, other, static."""
    static, other = times[:, 0] + times[:, 3], times[:, 1] + times[:, 2]
    ratios = other / static
    interval = quantile_estimate(ratios, 0.5)
    return Tax(
        ratio=quantile(ratios, 0.5),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        groups=len(times),
        static_us=quantile(static / 2e3, 0.5),
    )


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collect now, and not again until the end."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
