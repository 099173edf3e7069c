"""What thresholds are to reach: `accuracy:0.91`, `loss:0.01` or `latency:0.5`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from bench.exits.table import ExitTable

Kind = Literal["accuracy", "loss", "latency"]
EXAMPLES = "accuracy:0.91, loss:0.01 (of the last exit's accuracy) or latency:0.5 (of the full network's time)"


class TargetError(ValueError):
    """A target that means nothing or cannot be reached: one sentence."""


@dataclass(frozen=True, slots=True)
class Target:
    """At least an accuracy, or at most a mean latency; the other is as good as it gets."""

    kind: Kind
    value: float

    def __str__(self) -> str:
        return f"{self.kind}:{self.value:g}"

    def least_accuracy(self, table: ExitTable) -> float | None:
        """The accuracy asked for on this table, or None."""
        if self.kind == "latency":
            return None
        return self.value if self.kind == "accuracy" else float(table.right[:, -1].mean()) - self.value

    def most_ms(self, table: ExitTable) -> float | None:
        """The mean latency asked for, or None."""
        return self.value * table.full_ms if self.kind == "latency" else None

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
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if kind not in get_args(Kind) or not 0.0 < number <= 1.0:
        raise TargetError(f"{text!r} is not a target with a number up to 1: write {EXAMPLES}")
    return Target(kind, number)  # type: ignore[arg-type]
