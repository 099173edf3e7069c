from __future__ import annotations

import os
import pickle
import re
from pathlib import Path

import gtsrb_files
import numpy as np
import pytest

from devices.datasets.cifar import CLASS_NAMES, read_cifar

FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
KEYS = {"cifar10": b"labels", "cifar100": b"fine_labels"}


def write_batch(path: Path, images, labels, key=b"labels", data=None):
    """As the official files are: one row an image, its red plane first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1) if data is None else data
    path.write_bytes(pickle.dumps({b"data": rows, key: list(labels), b"filenames": [b"a.png"] * len(labels)}, 3))


def pictures(count, seed=0):
    return np.stack([gtsrb_files.picture(seed + index) for index in range(count)])


@pytest.mark.parametrize("data_set", ["cifar10", "cifar100"])
@pytest.mark.parametrize("inside", [True, False])
def test_official_and_packed_files_say_the_same(data_set, inside, tmp_path):
    images, labels = pictures(10), [7, 0, 9, 1, 2, 3, 4, 5, 6, 8]
    folder = tmp_path / FOLDERS[data_set] if inside else tmp_path
    names = ["train"] if data_set == "cifar100" else [f"data_batch_{index}" for index in range(1, 6)]
    for part, name in enumerate(names):
        share = slice(part * 10 // len(names), (part + 1) * 10 // len(names))
        write_batch(folder / name, images[share], labels[share], KEYS[data_set])
    official = read_cifar(tmp_path, data_set, "train")
    assert np.array_equal(official.images, images)
    assert official.labels.tolist() == labels
    gtsrb_files.write_packed(tmp_path / f"{data_set}-train.npz", images[::-1], labels[::-1])
    packed = read_cifar(tmp_path, data_set, "train")
    assert np.array_equal(packed.images[::-1], images)
    assert packed.labels.tolist() == labels[::-1]


def test_one_training_image_of_twenty_is_held_out(tmp_path):
    images, labels = pictures(41), [index % 10 for index in range(41)]
    gtsrb_files.write_packed(tmp_path / "cifar10-train.npz", images, labels)
    train, held_out = (read_cifar(tmp_path, "cifar10", split) for split in ("train", "calibration"))
    assert np.array_equal(held_out.images, images[[19, 39]])
    assert held_out.labels.tolist() == [9, 9]
    assert np.array_equal(np.delete(images, [19, 39], 0), train.images)


def test_the_test_split_has_its_own_files(tmp_path):
    write_batch(tmp_path / "cifar-10-batches-py" / "test_batch", pictures(3), [1, 2, 3])
    assert read_cifar(tmp_path, "cifar10", "test").labels.tolist() == [1, 2, 3]
    with pytest.raises(FileNotFoundError, match="holds no cifar-10-batches-py with data_batch_1, data_batch_2"):
        read_cifar(tmp_path, "cifar10", "train")


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({b"data": Bomb(), b"labels": [1]}),
        pickle.dumps({b"data": 3, b"labels": [1]}),
        pickle.dumps([1]),
        b"",
        b"no pickle",
    ],
)
def test_another_pickle_is_refused_and_never_executed(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "test_batch"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(path)) + r" is .*download it again"):
        read_cifar(tmp_path, "cifar10", "test")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "data", [np.zeros((3, 3072), np.uint8), np.zeros((2, 3071), np.uint8), np.zeros((2, 3072), np.float32)]
)
def test_images_that_do_not_fit_their_labels_are_refused(data, tmp_path):
    write_batch(tmp_path / "test_batch", pictures(2), [1, 2], data=data)
    with pytest.raises(ValueError, match="do not fit together"):
        read_cifar(tmp_path, "cifar10", "test")


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_beyond_the_classes_are_refused(label, tmp_path):
    write_batch(tmp_path / "test_batch", pictures(2), [1, label])
    with pytest.raises(ValueError, match="labels beyond its 10 classes"):
        read_cifar(tmp_path, "cifar10", "test")


@pytest.mark.data
@pytest.mark.parametrize(("data_set", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_class_names_are_those_of_the_files(data_set, classes, data_folder):
    assert len(CLASS_NAMES[data_set]) == classes
    with np.load(data_folder / f"{data_set}-train.npz") as stored:
        assert CLASS_NAMES[data_set] == tuple(stored["names"])
