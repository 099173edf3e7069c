"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), packed or as officially distributed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from devices.datasets.labelled import LabelledImages, Split
from devices.datasets.official_cifar import read_official
from devices.datasets.packed import read_packed

Cifar = Literal["cifar10", "cifar100"]

_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
CLASS_NAMES: Mapping[Cifar, tuple[str, ...]] = MappingProxyType(
    {"cifar10": tuple(_CIFAR10.split()), "cifar100": tuple(_CIFAR100.split())}
)


def read_cifar(folder: Path, data_set: Cifar, split: Split) -> LabelledImages:
    """The split in `folder`, 32 x 32, from its packed file or else from the official "python version".

    The packed test file holds half of the official test set.

    Raises:
        FileNotFoundError: the folder holds no such files.
        ValueError: a file is damaged.
    """
    whole = "test" if split == "test" else "train"
    packed = folder / {"train": f"{data_set}-train.npz", "test": f"{data_set}-test-public.npz"}[whole]
    if packed.is_file():
        data = read_packed(packed)
        images, labels, path = data.images, data.labels, packed
    else:
        images, labels, path = read_official(folder, data_set, whole)
    classes = len(CLASS_NAMES[data_set])
    if labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
        raise ValueError(f"{path} is damaged: it has labels beyond its {classes} classes; copy it again")
    return LabelledImages(images, labels).part(split)
