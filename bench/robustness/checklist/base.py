"""What an item of the check list is, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from bench.robustness.laboratory import Laboratory, Rights, beats, may_beat

# Unclear: it looks like a failure, and so few images may look so by luck.
Verdict = Literal["pass", "fail", "unclear", "not applicable", "not run"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict, and the `figure` behind it or the reason why there is none: one line of text."""

    verdict: Verdict
    figure: str


@dataclass(frozen=True, slots=True)
class Item:
    """A question to a defence, `threshold` being what a pass takes; `source` says who asks it."""

    number: int
    title: str
    threshold: str
    source: str
    ask: Callable[[Laboratory], Outcome]


@dataclass(frozen=True, slots=True)
class Checked:
    """An item that was asked."""

    item: Item
    outcome: Outcome


def judged(passed: bool, figure: str) -> Outcome:
    """Pass or fail."""
    return Outcome("pass" if passed else "fail", figure)


def outdone(rivals: Iterable[Rights], reference: Rights, figure: str, *, but: bool = False) -> Outcome:
    """Fail where a rival leaves less accuracy than the reference does, or for another reason (`but`)."""
    found = list(rivals)
    if but or any(beats(each, reference) for each in found):
        return Outcome("fail", figure)
    return Outcome("unclear" if any(may_beat(each, reference) for each in found) else "pass", figure)


def missing(why: str) -> Outcome:
    """The question does not arise, because of `why`."""
    return Outcome("not applicable", why)
