"""Boards whose power is known at every moment: what frames draw, and what a sensor makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.energy.records import Meter, PowerRecord
from bench.energy.trace import Trace

S = 1_000_000_000
IDLE_MW = 2000.0
# Millijoules above idle, and milliseconds, of a frame of each path.
PATHS = {"11": (30.0, 6.0), "10": (12.0, 4.0), "00": (4.0, 2.0)}


@dataclass(frozen=True)
class Signal:
    """Power that is constant from one edge (n + 1,) to the next, milliwatts (n,)."""

    edges_ns: NDArray[np.int64]
    power_mw: NDArray[np.float64]

    def energy_mj(self, at_ns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Millijoules until these moments."""
        steps = np.concatenate(([0.0], np.cumsum(self.power_mw * np.diff(self.edges_ns) / S)))
        return np.interp(at_ns, self.edges_ns, steps)

    def averaged(self, period_ns: int) -> Trace:
        """What a sensor says that averages over the time since the reading before."""
        times = np.arange(self.edges_ns[0] + period_ns, self.edges_ns[-1] + 1, period_ns)
        drawn = self.energy_mj(times) - self.energy_mj(times - period_ns)
        return Trace.of("power", times, drawn / period_ns * S)

    def counted(self, period_ns: int) -> Trace:
        """What a counter of energy says."""
        times = np.arange(self.edges_ns[0], self.edges_ns[-1] + 1, period_ns)
        return Trace.of("energy", times, self.energy_mj(times))


@dataclass(frozen=True)
class Run:
    """Ten seconds of idleness, frames, and ten seconds more."""

    signal: Signal
    starts_ns: NDArray[np.int64]
    ends_ns: NDArray[np.int64]
    paths: list[str]

    def record(self, trace: Trace, scope: str = "board", total: tuple[str, ...] = ("chip/VDD_IN",)) -> PowerRecord:
        meter = Meter("chip", scope, 0.1, ("chip/VDD_IN",), total)
        return PowerRecord((meter,), {"chip/VDD_IN": trace}, (S, int(self.starts_ns[0]) - S), None)


def run_of(paths: Sequence[str], pause_ms: float = 0.0) -> Run:
    """Frames of these paths one after another, each with a pause behind it in which the board idles."""
    work_ns = np.array([int(PATHS[path][1] * 1e6) for path in paths])
    spans = np.column_stack((work_ns, np.full(len(paths), int(pause_ms * 1e6)))).ravel()
    moments = 10 * S + np.concatenate(([0], np.cumsum(spans)))
    above = np.array([PATHS[path][0] for path in paths]) / (work_ns / S)
    power = np.column_stack((IDLE_MW + above, np.full(len(paths), IDLE_MW))).ravel()
    edges = np.concatenate(([0], moments, [moments[-1] + 10 * S]))
    signal = Signal(edges, np.concatenate(([IDLE_MW], power, [IDLE_MW])))
    return Run(signal, moments[:-1:2], moments[1::2], list(paths))


def mixed(frames: int, dwell: int = 1, seed: int = 1) -> list[str]:
    """Paths drawn at random, each kept for as many frames as a scene might last."""
    rng = np.random.default_rng(seed)
    return [str(path) for path in np.repeat(rng.choice(list(PATHS), frames // dwell), dwell)]
