"""How far a run is, counted while it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import monotonic_ns

from bench.timeline import FrameRecord

_SHOW_EVERY_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class LiveState:
    """How far a run is; `seconds` since its start, `accuracy_so_far` in [0, 1], None where there is none.

    `dropped` counts the frames that came and were replaced by newer ones; None in closed loop.
    """

    frames_done: int
    frames_total: int | None
    seconds: float
    last_ms: float
    recent_p50_ms: float
    kept_blocks: float | None
    accuracy_so_far: float | None
    dropped: int | None = None


class LiveTally:
    """Counts the model's records and shows the state ten times a second."""

    def __init__(
        self,
        show: Callable[[LiveState], None],
        frames_total: int | None,
        now_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._show, self._frames_total, self._now_ns = show, frames_total, now_ns
        self._show_due_ns = 0
        self._recent_ms: deque[float] = deque(maxlen=101)
        self._frames = self._kept = self._answered = self._right = self._with_label = 0
        self._gated = False
        self.began_ns = self._now_ns()

    def begin(self) -> None:
        """The warm-up is over."""
        self.began_ns = self._now_ns()

    def add(self, record: FrameRecord) -> None:
        """Count a measured frame."""
        self._frames += 1
        if record.predicted is not None:
            self._answered += 1
            self._kept += record.route.count("1")
            self._gated = record.route != ""
            self._recent_ms.append(record.inference_ns / 1e6)
        if record.label is not None:
            self._with_label += 1
            self._right += record.predicted == record.label
        # A median of the last frames costs more than the whole harness does: not at every frame.
        if record.arrival_ns >= self._show_due_ns and self._recent_ms:
            self._show_due_ns = record.arrival_ns + _SHOW_EVERY_NS
            self._show(self._state(record.arrival_ns, record.sequence))

    def _state(self, now_ns: int, sequence: int | None) -> LiveState:
        return LiveState(
            frames_done=self._frames,
            frames_total=self._frames_total,
            seconds=(now_ns - self.began_ns) / 1e9,
            last_ms=self._recent_ms[-1],
            recent_p50_ms=median(self._recent_ms),
            kept_blocks=self._kept / self._answered if self._gated else None,
            accuracy_so_far=self._right / self._with_label if self._with_label else None,
            dropped=None if sequence is None else sequence + 1 - self._frames,
        )
