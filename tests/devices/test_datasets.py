from __future__ import annotations

import zipfile
from pathlib import Path

import gtsrb_files
import numpy as np
import pytest

from devices.datasets.archive import Archive, ArchiveError
from devices.datasets.gtsrb import Gtsrb, read_gtsrb
from devices.datasets.official_gtsrb import list_official
from devices.datasets.packed import read_packed
from devices.sources.images import decode_image
from edge.preprocess import Preprocessor


def test_packed_tiles_come_out_as_they_went_in(tmp_path: Path) -> None:
    tiles = np.stack([gtsrb_files.picture(seed) for seed in range(11)])
    gtsrb_files.write_packed(tmp_path / "packed.npz", tiles, list(range(11)), extra=np.arange(11), other=np.arange(3))
    packed = read_packed(tmp_path / "packed.npz")
    assert np.array_equal(packed.images, tiles)
    assert packed.labels.tolist() == list(range(11))
    assert list(packed.columns) == ["extra"]


def test_training_split_leaves_the_leaked_track_out(tmp_path: Path) -> None:
    tiles = gtsrb_files.write_packed_train(tmp_path)
    data = read_gtsrb(tmp_path, "train")
    assert np.array_equal(data.images, np.delete(tiles, slice(9, 12), axis=0))
    assert data.tracks.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 4, 4, 4]
    assert data.names[[0, -1]].tolist() == ["00003/00000_00000.ppm", "00014/00024_00002.ppm"]
    # 6, 9, 58, 87 of 64 x 96 pixels.
    assert data.rois[0].tolist() == [3, 3, 29, 29]


def test_official_folders_say_the_same_as_the_packed_file(tmp_path: Path) -> None:
    gtsrb_files.write_packed_train(tmp_path)
    gtsrb_files.write_official(tmp_path / "GTSRB")
    official, packed = list_official(tmp_path, "train"), read_gtsrb(tmp_path, "train")
    assert [image.name for image in official] == packed.names.tolist()
    assert [image.track for image in official] == packed.tracks.tolist()
    assert [image.frame for image in official] == packed.frames.tolist()
    assert [image.label for image in official] == packed.labels.tolist()


@pytest.mark.parametrize("labels_beside_images", [True, False])
def test_official_test_images_carry_their_annotation(tmp_path: Path, labels_beside_images: bool) -> None:
    gtsrb_files.write_official(tmp_path)
    if labels_beside_images:
        (tmp_path / "GT-final_test.csv").rename(tmp_path / "Final_Test" / "Images" / "GT-final_test.csv")
    images = list_official(tmp_path, "test")
    assert [(image.name, image.label, image.track) for image in images] == [
        (f"{index:05d}.ppm", index + 10, -1) for index in range(4)
    ]
    assert images[2].roi == (5, 6, 45, 46)
    assert np.array_equal(decode_image(images[2].path), gtsrb_files.picture(2, 50, 51))


def test_official_images_are_read_at_one_size(tmp_path: Path) -> None:
    gtsrb_files.write_official(tmp_path)
    data = read_gtsrb(tmp_path, "test")
    assert data.images.shape == (4, 32, 32, 3)
    assert data.rois[0].tolist() == [3, 4, 29, 29]
    for index in range(4):
        assert np.abs(data.images[index] - _bilinear(gtsrb_files.picture(index, 50, 51))).max() <= 0.501


def test_official_images_are_resized_as_the_runtime_resizes_frames(tmp_path: Path) -> None:
    gtsrb_files.write_official(tmp_path)
    data = read_gtsrb(tmp_path, "test")
    for index in range(4):
        seen = Preprocessor(32, 32)(gtsrb_files.picture(index, 50, 51))[0].transpose(1, 2, 0) * 255
        assert np.abs(data.images[index] - seen).max() <= 0.501, "rounded to whole grey levels, and nothing more"


def _bilinear(picture: np.ndarray) -> np.ndarray:
    """The textbook: sample between the four pixels around each centre."""
    height, width = picture.shape[:2]
    result = np.empty((32, 32, 3))
    for row in range(32):
        for column in range(32):
            y = np.clip((row + 0.5) * height / 32 - 0.5, 0, height - 1)
            x = np.clip((column + 0.5) * width / 32 - 0.5, 0, width - 1)
            top, left = int(min(y, height - 2)), int(min(x, width - 2))
            corner = picture[top : top + 2, left : left + 2].astype(float)
            along_x = corner[:, 0] * (1 - (x - left)) + corner[:, 1] * (x - left)
            result[row, column] = along_x[0] * (1 - (y - top)) + along_x[1] * (y - top)
    return result


def _write_member(path: Path, header: bytes, values: bytes = b"") -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + values)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"{'descr': '|u1', 'fortran_order': False, 'shape': (9,)}", "a.npy is not as long as its header says"),
        (b"{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}", "a.npy has a negative length"),
        (b"{'descr': '|u1', 'fortran_order': True, 'shape': (1, 1)}", "stores a.npy column by column"),
        (b"{'descr': '|O', 'fortran_order': False, 'shape': ()}", "holds Python objects"),
        (b"{'descr': __import__('os'), 'fortran_order': False, 'shape': ()}", "a.npy is no numpy array"),
        (b"[" * 500, "a.npy is no numpy array"),
    ],
)
def test_headers_are_checked_before_values_are_read(tmp_path: Path, header: bytes, reason: str) -> None:
    _write_member(tmp_path / "a.npz", header, b"x")
    with pytest.raises(ArchiveError, match=reason):
        Archive(tmp_path / "a.npz")


def test_every_byte_of_an_archive_may_be_wrong(tmp_path: Path) -> None:
    """One flipped byte is refused or harmless, never another exception."""
    whole = tmp_path / "whole.npz"
    np.savez_compressed(whole, a=np.arange(20), b=np.array("word"))
    content = whole.read_bytes()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        (tmp_path / "damaged.npz").write_bytes(damaged)
        try:
            with Archive(tmp_path / "damaged.npz") as archive:
                for name in archive.headers:
                    archive.read(name)
        except ArchiveError:
            pass


@pytest.mark.data
def test_real_files_hold_what_was_published(data_folder: Path) -> None:
    train, test = read_gtsrb(data_folder, "train"), read_gtsrb(data_folder, "test")
    # 39,209 images without the 30 of the leaked track.
    assert (len(train.labels), len(test.labels)) == (39_179, 6_315)
    assert np.bincount(train.labels)[[2, 14]].tolist() == [2_250, 780 - 30]
    assert len(np.unique(train.tracks)) == 1_306
    assert _tracks_number_the_classes(train)
    for data in (train, test):
        assert data.rois.min() >= 0
        assert data.rois.max() <= 32
        assert (data.rois[:, 2:] > data.rois[:, :2]).all()


def _tracks_number_the_classes(data: Gtsrb) -> bool:
    """Whether tracks count classes and their tracks in order, with one number missing where the leaked track was."""
    prefixes = sorted({str(name).split("_")[0] for name in data.names} | {"00014/00023"})
    expected = {prefix: track for track, prefix in enumerate(prefixes)}
    return all(expected[str(name).split("_")[0]] == track for name, track in zip(data.names, data.tracks, strict=True))
