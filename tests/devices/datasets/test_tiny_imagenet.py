from __future__ import annotations

import re

import gtsrb_files
import numpy as np
import pytest
from PIL import Image

from devices.datasets.tiny_imagenet import read_tiny_imagenet
from devices.sources.images import decode_image

WNIDS = ("n02124075", "n01443537")


@pytest.fixture
def download(tmp_path):
    """Two classes of three training images, and two validation images, one of them small and grey."""
    root = tmp_path / "tiny-imagenet-200"
    for number, name in enumerate(WNIDS):
        images = root / "train" / name / "images"
        images.mkdir(parents=True)
        for index in range(3):
            Image.fromarray(gtsrb_files.picture(3 * number + index, 64, 64)).save(images / f"{name}_{index}.JPEG")
    (root / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    validation = root / "val" / "images"
    validation.mkdir(parents=True)
    Image.fromarray(gtsrb_files.picture(9, 64, 64)).save(validation / "val_0.JPEG")
    Image.fromarray(gtsrb_files.picture(10, 32, 48)[..., 0]).save(validation / "val_1.JPEG")
    table = "val_0.JPEG\tn02124075\t0\t32\t44\t62\nval_1.JPEG\tn01443537\t52\t55\t57\t59\n"
    (root / "val" / "val_annotations.txt").write_text(table)
    return root


@pytest.mark.parametrize("inside", [True, False])
def test_training_images_come_class_by_class_in_wordnet_order(download, inside):
    data = read_tiny_imagenet(download if inside else download.parent, "train")
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    expected = [decode_image(path) for name in sorted(WNIDS) for path in sorted(download.glob(f"train/{name}/*/*"))]
    assert np.array_equal(data.images, np.stack(expected))


def test_the_validation_set_is_the_test_split(download):
    data = read_tiny_imagenet(download, "test")
    assert data.labels.tolist() == [1, 0]
    assert data.images.shape == (2, 64, 64, 3)
    assert np.array_equal(data.images[0], decode_image(download / "val" / "images" / "val_0.JPEG"))
    assert np.array_equal(data.images[1, ..., 0], data.images[1, ..., 2])


def test_a_folder_that_is_no_complete_download_is_refused(download, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no tiny-imagenet-200/wnids\.txt"):
        read_tiny_imagenet(tmp_path / "elsewhere", "train")
    for image in download.glob("train/n02124075/images/*"):
        image.unlink()
    with pytest.raises(FileNotFoundError, match="there is no train/n02124075/images"):
        read_tiny_imagenet(download, "train")
    (download / "val" / "val_annotations.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no val/val_annotations\.txt"):
        read_tiny_imagenet(download, "test")


@pytest.mark.parametrize("line", ["../../val_0.JPEG\tn02124075", "val_0.JPEG\tn00000000", "val_0.JPEG", ""])
def test_a_damaged_table_is_named_with_its_line(line, download):
    table = download / "val" / "val_annotations.txt"
    table.write_text(f"val_0.JPEG\tn02124075\n{line}\nval_1.JPEG\tn01443537\n")
    with pytest.raises(ValueError, match=re.escape(str(table)) + " is damaged in line 2"):
        read_tiny_imagenet(download, "test")


@pytest.mark.parametrize("names", ["", "../train n01443537", " ".join(f"n{index:08d}" for index in range(201))])
def test_a_list_of_classes_that_is_none_is_refused(names, download):
    (download / "wnids.txt").write_text(names)
    with pytest.raises(ValueError, match=r"wnids\.txt is damaged"):
        read_tiny_imagenet(download, "train")


def test_a_damaged_image_is_named(download):
    path = download / "val" / "images" / "val_1.JPEG"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=re.escape(str(path)) + " is .*download it again"):
        read_tiny_imagenet(download, "test")
