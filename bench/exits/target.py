"""What thresholds are to reach: `accuracy:0.91`, `loss:0.01`, `latency:0.5` or `latency:2ms`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from bench.exits.table import ExitTable
from edge.times import parse_ms

Kind = Literal["accuracy", "loss", "latency"]
EXAMPLES = (
    "accuracy:0.91, loss:0.01 (of the last exit's accuracy), latency:0.5 (of the full network's time) or latency:2ms"
)


class TargetError(ValueError):
    """A target that means nothing or cannot be reached: one sentence."""


@dataclass(frozen=True, slots=True)
class Target:
    """At least an accuracy, or at most a mean latency; the other is as good as it gets.

    `value` is a share up to 1; of a latency with `in_ms` it is milliseconds.
    """

    kind: Kind
    value: float
    in_ms: bool = False

    def __str__(self) -> str:
        return f"{self.kind}:{self.value:g}{'ms' * self.in_ms}"

    def least_accuracy(self, table: ExitTable) -> float | None:
        """The accuracy asked for on this table, or None."""
        if self.kind == "latency":
            return None
        return self.value if self.kind == "accuracy" else float(table.right[:, -1].mean()) - self.value

    def most_ms(self, table: ExitTable) -> float | None:
        """The mean latency asked for, or None."""
        if self.kind != "latency":
            return None
        return self.value if self.in_ms else self.value * table.full_ms

    def allows(self, table: ExitTable, accuracy: float, mean_ms: float) -> bool:
        """Whether figures on this table reach the target."""
        least, most_ms = self.least_accuracy(table), self.most_ms(table)
        # Sums of shares are off by a few units in the last place.
        return (least is None or accuracy >= least - 1e-12) and (most_ms is None or mean_ms <= most_ms * (1 + 1e-12))


def parse_target(text: str) -> Target:
    """The target in `kind:value`.

    Raises:
        TargetError: it is none.
    """
    kind, _, value = text.partition(":")
    if kind not in get_args(Kind):
        raise TargetError(f"{text!r} is not a target: write {EXAMPLES}")
    # A time has a unit, and all of them end alike.
    in_ms = kind == "latency" and value.endswith("s")
    try:
        number = parse_ms(value) if in_ms else float(value)
    except ValueError:
        number = -1.0
    if not (number > 0.0 and (in_ms or number <= 1.0)):
        span = "a share above 0 and up to 1"
        if kind == "latency":
            span += " of the full network's time, or a mean time above 0 in us, ms or s"
        raise TargetError(f"{value!r} is out of range for the target {kind}: give {span}, as in {EXAMPLES}")
    return Target(kind, number, in_ms)  # type: ignore[arg-type]
