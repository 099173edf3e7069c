"""What came of adversarial images on a network that decides how deep it goes, by the measures of the literature.

Classes and exits are counted from 0; answers of every exit are (n, exits), the last exit in the last column.  Needs no
torch.  Haque et al.: "Dynamic Neural Network is All You Need" (ICCV workshops 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.statistics.bootstrap import mean_estimate, resampling_generator
from bench.statistics.proportion import proportion_estimate
from bench.summary import Estimate

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ExitShift:
    """By how many exits later images leave (earlier is negative): how many images by each shift, rising; the mean; and
    the share that leaves more than one exit later."""

    shifts: Integers
    counts: Integers
    mean: Estimate | None
    above_one: Estimate | None


def exit_shift(benign: ArrayLike, adversarial: ArrayLike) -> ExitShift:
    """The shift between the exits taken by images (n,) and by their adversarial copies (n,); section 3.2."""
    moved = np.asarray(adversarial, np.int64) - np.asarray(benign, np.int64)
    shifts, counts = np.unique(moved, return_counts=True)
    return ExitShift(shifts, counts, mean_estimate(moved, resampling_generator()), proportion_estimate(moved > 1))


def first_changed_exit(benign: ArrayLike, adversarial: ArrayLike) -> Integers:
    """The first exit whose answer changes, (n,), from answers (n, exits) of both; the number of exits where none does.

    Section 4.1: up to the exit before, every exit still gave its own clean answer.
    """
    changed = np.asarray(benign) != np.asarray(adversarial)
    first: Integers = np.where(changed.any(1), changed.argmax(1), changed.shape[1])
    return first


def success_at_exits(answers: ArrayLike, labels: ArrayLike) -> tuple[Estimate | None, ...]:
    """For each exit the share of wrong answers, from answers (n, exits) and labels (n,)."""
    wrong = np.asarray(answers) != np.asarray(labels)[:, None]
    return tuple(proportion_estimate(column) for column in wrong.T)


def early_success(clean_last: ArrayLike, answers: ArrayLike) -> Booleans:
    """Where Early Attack succeeded, (n,): the last exit gives its clean answer (n,), and no other does; section 5.2.

    Every image counts, also one that the network had wrong or that was so before.
    """
    same = np.asarray(answers) == np.asarray(clean_last)[:, None]
    found: Booleans = same[:, -1] & ~same[:, :-1].any(1)
    return found


@dataclass(frozen=True, slots=True)
class EarlyTransfer:
    """What Early Attack's images do to another network: the share whose last answer stays, and the mean number of early
    exits that lose it among those (None without any)."""

    kept: Estimate | None
    flipped: float | None


def early_transfer(clean_last: ArrayLike, answers: ArrayLike) -> EarlyTransfer:
    """From the other network's clean last answers (n,) and its answers (n, exits) to the images; section 5.2.3."""
    same = np.asarray(answers) == np.asarray(clean_last)[:, None]
    kept = same[:, -1]
    flipped = float((~same[kept, :-1]).sum(1).mean()) if kept.any() else None
    return EarlyTransfer(proportion_estimate(kept), flipped)


def psnr_db(images: ArrayLike, changed: ArrayLike, peak: float = 1.0) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio of each image, (n,) dB; infinite where nothing changed.

    Both are (n, ...) from 0 to `peak`: 1 for floats, 255 for 8-bit frames.
    """
    change = np.asarray(changed, np.float64) - np.asarray(images, np.float64)
    squared = np.square(change).reshape(len(change), -1).mean(1)
    with np.errstate(divide="ignore"):
        ratios: NDArray[np.float64] = 10 * np.log10(peak**2 / squared)
    return ratios


def transfer_success(answers: ArrayLike, labels: ArrayLike, crafted: ArrayLike | None = None) -> Estimate | None:
    """The share of images that the target gets wrong, of those `crafted` (n,), by default all, that count as made.

    S2D: images of a static surrogate, `answers` (n,) of the exits that a dynamic target takes.  D2S: images of a
    dynamic surrogate, answers of a static target.  The paper counts what was made, which is taken here as the images
    that fool the surrogate; section 3.1.1.
    """
    wrong = np.asarray(answers) != np.asarray(labels)
    return proportion_estimate(wrong if crafted is None else wrong[np.asarray(crafted, np.bool_)])


def computation(keep: ArrayLike) -> NDArray[np.float64]:
    """The share of computation of each image, (n,), from its gates (n, gates) in [0, 1].

    All blocks count alike, and a first one that always runs is one more (Pan et al. 2022 and 2023).
    """
    gates = np.asarray(keep, np.float64)
    shares: NDArray[np.float64] = (gates.sum(1) + 1) / (gates.shape[1] + 1)
    return shares


def recovery(clean: ArrayLike, adversarial: ArrayLike) -> float | None:
    """How much of the saved computation came back, from the gates (n, gates) of images and of their copies.

    1 is all of it, negative where more was saved than before, None where nothing had been saved (GradAuto, GradMDM).
    """
    before, after = float(computation(clean).mean()), float(computation(adversarial).mean())
    return None if before >= 1 else (after - before) / (1 - before)
