"""What the recipes for German traffic signs share: the images, and the size of a step."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from devices.datasets.gtsrb import read_gtsrb
from devices.renderer import render_batch
from export.training.examples import Examples
from export.training.loop import Progress
from export.training.recipe import Report, Workshop, claim_data, examples_digest
from export.training.work_file import reading

_RENDERED = 9000
# Twenty-six of the 43 classes have fewer real images than this.
_LEAST_OF_A_CLASS = 900
# Far from the small numbers that people give as seeds of trainings and of sources.
_RENDERED_TEST_SEED = 1_000_003


@dataclass(frozen=True, slots=True)
class TrafficSigns:
    """The training images and their digests: `real` ones; those `mixed` with rendered ones; and, `balanced`, the mixed
    ones with those of rare classes repeated."""

    real: Examples
    mixed: Examples
    balanced: Examples
    digests: dict[str, str]


def read_traffic_signs(workshop: Workshop, report: Report) -> TrafficSigns:
    """Raises ValueError where the work folder holds a training on other images."""
    real = training_images(workshop.data)
    rendered = _rendered(workshop, report)
    digests = {"gtsrb/train": examples_digest(real), "rendered": examples_digest(rendered)}
    claim_data(workshop, digests)
    mixed = real.joined(rendered)
    return TrafficSigns(real, mixed, mixed.balanced(8 if workshop.quick else _LEAST_OF_A_CLASS), digests)


def training_images(data: Path) -> Examples:
    """The real training images."""
    train = read_gtsrb(data, "train")
    return Examples.from_arrays(train.images, train.labels)


def test_images(data: Path) -> Examples:
    """The public test images."""
    test = read_gtsrb(data, "test")
    return Examples.from_arrays(test.images, test.labels)


def rendered_test_images(count: int) -> Examples:
    """Rendered frames that no training sees."""
    return Examples.from_arrays(*render_batch(count, _RENDERED_TEST_SEED))


def _rendered(workshop: Workshop, report: Report) -> Examples:
    """Frames of our own renderer, kept in the work folder: a minute's work."""
    count, seed = 64 if workshop.quick else _RENDERED, workshop.seed + 1
    path = workshop.work / f"rendered-{count}-{seed}.npz"
    if not path.exists():
        began = time.monotonic()
        report(Progress("rendering", 0, count, 0.0, {}))
        images, labels = render_batch(count, seed)
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.savez(file, images=images, labels=labels)
        temporary.replace(path)
        report(Progress("rendering", count, count, time.monotonic() - began, {}))
    damaged = reading(path, "is damaged", "delete it, and the frames are rendered again")
    # Opened here, since np.load leaves a damaged archive open.
    with damaged, path.open("rb") as stored, np.load(stored, allow_pickle=False) as archive:
        return Examples.from_arrays(archive["images"], archive["labels"])
