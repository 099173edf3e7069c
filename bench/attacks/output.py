"""Which of a network's exits is attacked."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Output:
    """The "last" exit, the given "exit", "all" exits together, or the one that is "taken" by an image: the first whose
    largest softmax reaches its threshold, else the last."""

    kind: Literal["last", "exit", "all", "taken"]
    exit_index: int = 0
    thresholds: tuple[float, ...] = ()

    def chosen(self, scores: Sequence[Tensor]) -> list[Tensor]:
        """The scores (rows, classes) to attack, from those of every exit; one, or with "all" every one.

        Raises:
            ValueError: the network has no such exit.
        """
        if self.kind == "last":
            return [scores[-1]]
        if self.kind == "all":
            return list(scores)
        if self.kind == "exit":
            if self.exit_index >= len(scores):
                raise ValueError(f"output=exit:{self.exit_index} is not there: the exits are 0 to {len(scores) - 1}")
            return [scores[self.exit_index]]
        taken = self.taken(scores)
        return [torch.stack(tuple(scores))[taken, torch.arange(len(taken))]]

    @property
    def spec(self) -> str:
        """As `parse_output` reads it."""
        if self.kind == "exit":
            return f"exit:{self.exit_index}"
        if self.kind == "taken":
            return "taken:" + ";".join("-" if math.isinf(each) else str(each) for each in self.thresholds)
        return self.kind

    def answer(self, scores: Sequence[Tensor]) -> Tensor:
        """The scores (rows, classes) that stand for the network's answer; with "all" those of the last exit."""
        return self.chosen(scores)[-1]

    def taken(self, scores: Sequence[Tensor]) -> Tensor:
        """The exit at which each row stops, (rows,); the last without thresholds.

        Raises:
            ValueError: there is one threshold for each exit but the last, and the network has another number of exits.
        """
        early = len(scores) - 1
        thresholds = self.thresholds * early if len(self.thresholds) == 1 else self.thresholds or (math.inf,) * early
        if len(thresholds) != early:
            raise ValueError(
                f"output=taken has {len(thresholds)} thresholds and the network {early} exits before its last: give "
                "one for all, for example output=taken:0.9, or one for each"
            )
        rows = len(scores[0])
        sure = torch.ones(len(scores), rows, dtype=torch.bool)
        for index, threshold in enumerate(thresholds):
            sure[index] = scores[index].detach().softmax(1).amax(1) >= threshold
        return sure.int().argmax(0)


def parse_output(text: str) -> Output:
    """An output as specs write it: `last`, `exit:2`, `all`, `taken:0.9`, `taken:0.9;-;0.95` (one is never asked).

    Raises:
        ValueError: it is none.
    """
    if text in ("last", "all"):
        return Output(text)  # type: ignore[arg-type]
    kind, _, value = text.partition(":")
    if kind == "exit" and re.fullmatch("[0-9]{1,4}", value):
        return Output("exit", int(value))
    if kind == "taken" and value:
        try:
            thresholds = tuple(math.inf if part == "-" else float(part) for part in value.split(";"))
        except ValueError:
            thresholds = (math.nan,)
        if all(0.0 <= threshold <= 1.0 or threshold == math.inf for threshold in thresholds):
            return Output("taken", thresholds=thresholds)
    raise ValueError(
        f"output is last, exit:K, all or taken:THRESHOLD (0 to 1, or one for each exit but the last with semicolons), "
        f"not {text!r}; for example output=exit:2 or output=taken:0.9"
    )
