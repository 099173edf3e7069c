"""The test images of the data sets, by the name of the task."""

from __future__ import annotations

from pathlib import Path

from devices.datasets.cifar import read_cifar
from devices.datasets.gtsrb import read_gtsrb
from devices.datasets.labelled import LabelledImages


def read_test_images(task: str, folder: Path) -> LabelledImages:
    if task == "gtsrb":
        signs = read_gtsrb(folder, "test")
        return LabelledImages(signs.images, signs.labels)
    return read_cifar(folder, task, "test")
