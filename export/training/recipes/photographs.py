"""The photographs that networks with exits are trained on: CIFAR-10, CIFAR-100 and Tiny-ImageNet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devices.datasets.cifar import CLASS_NAMES, Cifar, read_cifar
from devices.datasets.labelled import LabelledImages, Split
from devices.datasets.tiny_imagenet import CLASSES, SIZE, read_tiny_imagenet
from export.training.crop_and_flip import CropAndFlip
from export.training.examples import Examples
from export.training.recipe import Workshop, claim_data, examples_digest


@dataclass(frozen=True, slots=True)
class Photographs:
    """A data set of square photographs: what a recipe needs to know of it."""

    task: str
    classes: tuple[str, ...]
    size: int
    needs: str
    augmentation: CropAndFlip
    read: Callable[[Path, Split], LabelledImages]

    def training(self, workshop: Workshop) -> tuple[Examples, dict[str, str]]:
        """The training images and their digest.

        Raises:
            ValueError: the work folder holds a training on other images.
        """
        examples = self.training_images(workshop.data)
        digests = {f"{self.task}/train": examples_digest(examples)}
        claim_data(workshop, digests)
        return examples, digests

    def training_images(self, data: Path) -> Examples:
        """The training images, without those held out for calibration."""
        return self._examples(data, "train")

    def test(self, data: Path) -> Examples:
        """The test images."""
        return self._examples(data, "test")

    def _examples(self, data: Path, split: Split) -> Examples:
        images = self.read(data, split)
        return Examples.from_arrays(images.images, images.labels)


def _cifar(data_set: Cifar, title: str) -> Photographs:
    def read(folder: Path, split: Split) -> LabelledImages:
        return read_cifar(folder, data_set, split)

    return Photographs(data_set, CLASS_NAMES[data_set], 32, f"the {title} images", CropAndFlip(), read)


CIFAR10 = _cifar("cifar10", "CIFAR-10")
CIFAR100 = _cifar("cifar100", "CIFAR-100")
TINY_IMAGENET = Photographs(
    task="tiny-imagenet",
    # The names lie in the download, in the order of their WordNet numbers.
    classes=tuple(f"class {index}" for index in range(CLASSES)),
    size=SIZE,
    needs="the Tiny-ImageNet images",
    augmentation=CropAndFlip(brightness=0.2, contrast=0.2, saturation=0.2),
    read=read_tiny_imagenet,
)
