"""What an item of the check list is, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from bench.robustness.laboratory import Laboratory, Rights, beats, may_beat
from bench.statistics.proportion import wilson_interval

# An attack that may do what it likes, and a network that nothing defends, leave no more than this or chance.
NEARLY_ZERO = 0.1
# About 95% either way.
_STANDARD_ERRORS = 2
_ROUNDING = 1e-9

# Unclear: so few images may look so by luck.
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


def share_within(values: Rights, limit: float) -> Verdict:
    """Pass if the share that `values` (n,) in [0, 1] have is at most `limit`, fail if it is above, with Wilson's 95%
    interval; unclear if that holds the limit."""
    return _beside(wilson_interval(float(values.mean()), len(values)), limit)


def mean_within(values: Rights, limit: float) -> Verdict:
    """The same of the mean of any `values` (n,), such as differences, with two standard errors."""
    error = _STANDARD_ERRORS * float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    mean = float(values.mean())
    return _beside((mean - error, mean + error), limit)


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """Fail if one does, else unclear if one is, else pass."""
    found = set(verdicts)
    return "fail" if "fail" in found else "unclear" if "unclear" in found else "pass"


def _beside(interval: tuple[float, float], limit: float) -> Verdict:
    low, high = interval
    # Sums of what is a whole number of images differ from the limit by rounding.
    return "pass" if high <= limit + _ROUNDING else "fail" if low > limit + _ROUNDING else "unclear"


def outdone(rivals: Iterable[Rights], reference: Rights, figure: str, *, but: Verdict = "pass") -> Outcome:
    """Fail where a rival leaves less accuracy than the reference does, or for another reason (`but`)."""
    return Outcome(together([but, *(weaker(each, reference) for each in rivals)]), figure)


def weaker(rival: Rights, reference: Rights) -> Verdict:
    """Pass if a rival leaves no less accuracy than the reference, by 2 points; unclear if that may be luck."""
    return "fail" if beats(rival, reference) else "unclear" if may_beat(rival, reference) else "pass"


def missing(why: str) -> Outcome:
    """The question does not arise, because of `why`."""
    return Outcome("not applicable", why)
