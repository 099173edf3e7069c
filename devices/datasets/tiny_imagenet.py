"""Tiny-ImageNet (200 classes, 64 px), as officially distributed.

[tiny-imagenet-200/]wnids.txt, train/n01443537/images/n01443537_0.JPEG, val/images/val_0.JPEG, val/val_annotations.txt
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from devices.datasets.labelled import LabelledImages, Split
from devices.resize import resized_bilinear
from devices.sources.images import ImageError, decode_image

CLASSES = 200
SIZE = 64


def read_tiny_imagenet(folder: Path, split: Split) -> LabelledImages:
    """The split in `folder`, 64 x 64; "test" is the validation set, since the labels of the test set are not public.

    Classes are numbered in the order of their WordNet numbers; the 100,000 training images take 1.2 GB.

    Raises:
        FileNotFoundError: the folder holds no complete download.
        ValueError: a file is damaged.
    """
    root = next((path for path in (folder / "tiny-imagenet-200", folder) if (path / "wnids.txt").is_file()), None)
    if root is None:
        raise FileNotFoundError(f"{folder} holds no tiny-imagenet-200/wnids.txt")
    classes = _classes(root / "wnids.txt")
    listed = _validation_images(root, classes) if split == "test" else _training_images(root, classes)
    images = np.empty((len(listed), SIZE, SIZE, 3), np.uint8)
    for index, (path, _) in enumerate(listed):
        images[index] = _image(path)
    return LabelledImages(images, np.array([label for _, label in listed], np.int64)).part(split)


def _classes(table: Path) -> dict[str, int]:
    names = sorted(table.read_text(encoding="ascii", errors="replace").split())
    # The pattern also keeps out names that lead out of the folder.
    if not 0 < len(names) <= CLASSES or not all(re.fullmatch(r"n[0-9]{8}", name) for name in names):
        raise ValueError(f"{table} is damaged: it does not list up to {CLASSES} WordNet numbers; download it again")
    return {name: label for label, name in enumerate(names)}


def _training_images(root: Path, classes: dict[str, int]) -> list[tuple[Path, int]]:
    listed = []
    for name, label in classes.items():
        images = sorted((root / "train" / name / "images").glob("*.JPEG"))
        if not images:
            raise FileNotFoundError(f"{root} is incomplete: there is no train/{name}/images/*.JPEG")
        listed += [(path, label) for path in images]
    return listed


def _validation_images(root: Path, classes: dict[str, int]) -> list[tuple[Path, int]]:
    table = root / "val" / "val_annotations.txt"
    if not table.is_file():
        raise FileNotFoundError(f"{root} is incomplete: there is no val/val_annotations.txt")
    listed = []
    for number, line in enumerate(table.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        name, label, *_ = [*line.split("\t"), "", ""]
        if not re.fullmatch(r"val_[0-9]{1,6}\.JPEG", name) or label not in classes:
            raise ValueError(f"{table} is damaged in line {number}; download it again")
        listed.append((root / "val" / "images" / name, classes[label]))
    return listed


def _image(path: Path) -> NDArray[np.uint8]:
    try:
        picture = decode_image(path)
    except ImageError as error:
        raise ValueError(f"{path} {error}; download it again") from None
    return picture if picture.shape[:2] == (SIZE, SIZE) else resized_bilinear(picture, SIZE)
