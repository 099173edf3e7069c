"""What a run of twins says: figures of every version, and of each beside the clean one."""

from __future__ import annotations

from dataclasses import dataclass

from bench.summary import Estimate, LatencySummary, NetworkSummary
from bench.timeline import Twin

# What the networks beside a model are called in its records: no name has a slash in it.
FULL, CEILING = "/full", "/ceiling"


@dataclass(frozen=True, slots=True)
class TwinFigures:
    """The frames of one version.

    `missed` is the share of them without an answer by the deadline.  `energy_mj` is that of a frame while it is worked
    on.  `saved` is 1 - time / time of the full network on the same frames.

    `efficacy` and `efficacy_trapezoid` are 1 - the mean share of the most expensive path's multiply-accumulates: of the
    paths as they were taken, and by DeepSloth's curve, which joins neighbouring exits by lines, so that a frame costs
    the mean of its exit and the one before (Hong et al., "A Panda? No, It's a Sloth", ICLR 2021).  The second is None
    for a network with gates, which has no such curve.
    """

    twin: Twin
    network: NetworkSummary
    missed: Estimate | None
    energy_mj: Estimate | None
    saved: Estimate | None
    efficacy: Estimate | None
    efficacy_trapezoid: Estimate | None


@dataclass(frozen=True, slots=True)
class Beside:
    """A version beside the clean one; `pairs` were answered in both, 0 in a stream that shows one of each.

    `slowdown` is mean inference / that of the clean frames.  `lost_savings` is the share of what the clean frames save
    against the full network that is gone: 0 none, 1 all, more where the full network is faster.
    """

    twin: Twin
    pairs: int
    slowdown: Estimate | None
    lost_savings: Estimate | None


@dataclass(frozen=True, slots=True)
class TwinsSummary:
    """Every version, the clean one first.

    `full` is the inference of the full network on all frames, `ceiling` that of the most expensive path that the
    controller leaves open, and `ceiling_slowdown` the slowdown of an attack that leads every clean frame there; None
    where they were not timed.
    """

    twins: tuple[TwinFigures, ...]
    beside: tuple[Beside, ...]
    full: LatencySummary | None
    ceiling: LatencySummary | None
    ceiling_slowdown: Estimate | None

    @property
    def mixed(self) -> bool:
        """Whether one of each pair was shown."""
        return not any(each.pairs for each in self.beside)
