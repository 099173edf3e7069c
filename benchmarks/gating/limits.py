"""When gating counts as free."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.statistics.quantiles import quantile
from benchmarks.gating.turns import RouteTax, Tax
from benchmarks.verdicts import Verdict, at_most

MEDIAN_TAX = 1.005
WORST_TAX = 1.02
# On a short route the fixed cost of a call weighs more than its share says.
SHORT_ROUTE_US = 600.0
SHORT_ROUTE_EXTRA_US = 30.0
FIRST_FRAME_EXTRA_MS = 3.0
MEMORY_MIB = 16.0
BUILD_S = 1.0
CACHED_BUILD_S = 0.05
FRAME_MEAN = 1.02
FRAME_P99 = 1.10
DECISIONS_TAX = 1.03
INT8_RATIO = 0.40

# Routes that are measured a second time: the highest of many medians is partly chance.
AGAIN = 8


def allowed_tax(static_us: float) -> float:
    """The highest tax that a route may cost, given the latency of its static network."""
    if static_us < SHORT_ROUTE_US:
        return max(WORST_TAX, 1 + SHORT_ROUTE_EXTRA_US / static_us)
    return WORST_TAX


def overrun(tax: Tax) -> float:
    """The tax in parts of what is allowed; above 1 the limit is broken."""
    return tax.ratio / allowed_tax(tax.static_us)


def worst(taxes: Iterable[RouteTax], count: int = AGAIN) -> list[RouteTax]:
    """The routes nearest to their limit, or furthest beyond it, first."""
    return sorted(taxes, key=lambda measured: overrun(measured.tax), reverse=True)[:count]


def settled(first: Sequence[RouteTax], again: Iterable[RouteTax]) -> list[RouteTax]:
    """One tax a route: the second measurement where there is one."""
    second = {measured.route: measured for measured in again}
    return [second.get(measured.route, measured) for measured in first]


def median_ratio(taxes: Iterable[RouteTax]) -> float:
    """The median of the routes' ratios."""
    return quantile([measured.tax.ratio for measured in taxes], 0.5)


def judge_taxes(first: Sequence[RouteTax], again: Sequence[RouteTax]) -> list[Verdict]:
    """Median and worst of the taxes of one plan; the median is of all first measurements."""
    median = median_ratio(first)
    (last,) = worst(settled(first, again), 1)
    extra_us = (last.tax.ratio - 1) * last.tax.static_us
    return [
        at_most("median tax of all routes", median, MEDIAN_TAX, ".3f"),
        Verdict(
            f"worst route ({last.route})",
            f"{last.tax.ratio:.3f} ({extra_us:+.0f} us)",
            f"{allowed_tax(last.tax.static_us):.3f}",
            overrun(last.tax) <= 1,
        ),
    ]
