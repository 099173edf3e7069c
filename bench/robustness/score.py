"""Accuracy where the same image can be answered differently each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.statistics.proportion import proportion_estimate
from bench.summary import Estimate


@dataclass(frozen=True, slots=True)
class Score:
    """Shares of images answered rightly, with intervals over images.

    `mean` is that of a draw, `worst` counts an image as right only if it was in every one of the `draws`, `majority`
    if its label was answered more often than any other class.
    """

    mean: Estimate
    worst: Estimate
    majority: Estimate
    draws: int


def scored(answers: NDArray[np.int64], labels: NDArray[np.int64]) -> Score:
    """The score of answers (draws, n) for images with labels (n,), which stand in the order of their source.

    Raises:
        ValueError: there are no images or no draws.
    """
    if not answers.size:
        raise ValueError("a score is that of at least one image in one draw")
    right = answers == labels
    return Score(
        mean=_share(right.mean(0)),
        worst=_share(right.all(0)),
        majority=_share(_won(answers, labels)),
        draws=len(answers),
    )


def worst_for_each(answers: Sequence[NDArray[np.int64]], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of several attacks' answers, (draws, n) each, to images with labels (n,): for every image those to the attack
    that is worst for it, (about half of the draws, n).

    It is chosen on every second draw and the others are given, or the luck of the draws would be taken for strength.
    """
    every = np.stack(answers)
    chosen = (every[:, 0::2] == labels).mean(1).argmin(0)
    held_out = every[:, 1::2] if every.shape[1] > 1 else every
    return np.asarray(held_out[chosen, :, np.arange(len(labels))].T)


def _won(answers: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which labels had more votes than any other class, (n,): a tie is lost."""
    votes = (answers[:, None, :] == answers[None, :, :]).sum(0)
    rivals = np.where(answers == labels, 0, votes).max(0)
    result: NDArray[np.bool_] = (answers == labels).sum(0) > rivals
    return result


def _share(right: NDArray[np.float64] | NDArray[np.bool_]) -> Estimate:
    estimate = proportion_estimate(right)
    assert estimate is not None, "there is at least one image"
    return estimate
