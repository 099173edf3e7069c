"""What a run says of energy in the end: figures with their intervals, and why one is missing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bench.summary import Estimate, Finding


@dataclass(frozen=True, slots=True)
class RailSummary:
    """One supply line or counter: milliwatts during the run and during the idle baseline.

    `in_total` says whether it is one of those whose sum is the whole; the others are parts of these.
    """

    name: str
    in_total: bool
    mean_mw: Estimate | None
    idle_mw: Estimate | None


@dataclass(frozen=True, slots=True)
class PathEnergy:
    """Millijoules that a frame of one path takes while it is worked on."""

    path: str
    count: int
    energy_mj: Estimate


@dataclass(frozen=True, slots=True)
class EnergySummary:
    """The energy of a run; None is "not measured", and `findings` say why.

    `scope` says what the sensors measure ("board", "cpu package + gpu"), None where they measure nothing whole.
    `energy_mj` is everything that the scope drew from the first frame's start to the last frame's end, by frame;
    `net_mj` is that without what the idle machine would have drawn in the same time.  `mean_mw` and `idle_mw` are the
    power of the whole scope during the run and during the idle baseline.
    """

    scope: str | None
    frames: int
    energy_mj: Estimate | None
    net_mj: Estimate | None
    frames_per_watt_hour: Estimate | None
    mean_mw: Estimate | None
    idle_mw: Estimate | None
    rails: list[RailSummary]
    paths: list[PathEnergy]
    findings: list[Finding]


def energy_to_json(summary: EnergySummary | None) -> dict[str, Any] | None:
    """The value of `energy_mj` in the document of a run: value, low and high, and beside them what they stand on.

    None where the energy of a frame is not known.  The findings are left to the document's verdict.
    """
    if summary is None or summary.energy_mj is None:
        return None
    content = asdict(summary)
    for name in ("energy_mj", "findings"):
        del content[name]
    return {**asdict(summary.energy_mj), "net": content.pop("net_mj"), **content}
