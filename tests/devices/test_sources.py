from __future__ import annotations

from collections import defaultdict
from dataclasses import fields
from itertools import islice
from pathlib import Path

import gtsrb_files
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from devices.sources.base import Frame, Source, SourceError
from devices.sources.dataset import Dataset
from devices.sources.folder import Folder, natural_key
from devices.sources.recorded import Recorded, write_recorded
from devices.sources.synthetic import Synthetic
from devices.sources.video import Video


@pytest.fixture
def small_world(tmp_path: Path) -> Path:
    """Something for every source to read."""
    gtsrb_files.write_packed_train(tmp_path)
    gtsrb_files.write_official(tmp_path)
    photographs = np.stack([gtsrb_files.picture(seed) for seed in range(40)])
    gtsrb_files.write_packed(tmp_path / "cifar10-train.npz", photographs, [seed % 10 for seed in range(40)])
    images = tmp_path / "images" / "00014"
    images.mkdir(parents=True)
    for index in (10, 9, 1):
        Image.fromarray(gtsrb_files.picture(index, 20 + index, 30)).save(images / f"frame {index}.png")
    stream = np.stack([gtsrb_files.picture(seed) for seed in range(5)])
    write_recorded(tmp_path / "stream.npz", stream, np.arange(5) - 1, np.array([0, 0, 1, 1, -1]), "gtsrb")
    return tmp_path


SOURCES = {
    "synthetic": lambda world: Synthetic("gtsrb", seed=3, tracks=2),
    "test": lambda world: Dataset("gtsrb/test", folder=str(world)),
    "train": lambda world: Dataset("gtsrb/train", folder=str(world)),
    "tracks": lambda world: Dataset("gtsrb/tracks", folder=str(world)),
    "cifar10": lambda world: Dataset("cifar10/train", folder=str(world)),
    "cifar10 held out": lambda world: Dataset("cifar10/calibration", folder=str(world)),
    "dir": lambda world: Folder(str(world / "images")),
    "labelled dir": lambda world: Folder(str(world / "images"), task="gtsrb"),
    "image file": lambda world: Video(str(world / "images" / "00014" / "frame 1.png")),
    "recorded": lambda world: Recorded(str(world / "stream.npz")),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_behaves_as_a_camera(name: str, small_world: Path) -> None:
    source: Source = SOURCES[name](small_world)
    frames = list(source.frames())
    assert len(frames) == source.length
    for frame in frames:
        assert frame.image.ndim == 3
        assert frame.image.shape[2] == 3
        assert frame.image.dtype == np.uint8
        assert frame.name
        assert source.task is not None or frame.label is None
    assert len({frame.name for frame in frames}) == len(frames)
    # A second pass, as a second run would make, gives the same.
    assert _digest(source.frames()) == _digest(frames)
    source.close()


@pytest.mark.parametrize("name", SOURCES)
def test_the_command_line_can_explain_every_option(name: str, small_world: Path) -> None:
    options = [option for option in fields(SOURCES[name](small_world)) if option.init]
    assert options[0].name == "location"
    for option in options:
        assert set(option.metadata) == {"help", "example"}


def _digest(frames: object) -> list[tuple[object, ...]]:
    return [(f.name, f.label, f.track, f.roi, f.image.shape, f.image.tobytes()) for f in frames]  # type: ignore[attr-defined]


def test_the_rendered_stream_has_no_end_and_depends_on_its_seed() -> None:
    endless = Synthetic("gtsrb", seed=1)
    assert endless.length is None
    first = list(islice(endless.frames(), 95))
    assert [frame.track for frame in first] == [index // 30 for index in range(95)]
    assert first[94].name == "track 3 frame 4"
    assert _digest(first[:60]) == _digest(Synthetic("gtsrb", seed=1, tracks=2).frames())
    assert _digest(first[:1]) != _digest(islice(Synthetic("gtsrb", seed=2).frames(), 1))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_tracks_are_shuffled_and_their_frames_are_not(small_world: Path, seed: int) -> None:
    frames = list(Dataset("gtsrb/tracks", seed=seed, folder=str(small_world)).frames())
    assert [frame.name[-9:-4] for frame in frames] == ["00000", "00001", "00002"] * 4
    assert {frame.track for frame in frames} == {0, 1, 2, 4}
    for start in range(0, len(frames), 3):
        assert len({frame.track for frame in frames[start : start + 3]}) == 1


def test_the_seed_of_a_data_set_orders_the_same_frames_anew(small_world: Path) -> None:
    orders = [[frame.name for frame in _train(small_world, seed)] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])


def _train(folder: Path, seed: int) -> list[Frame]:
    return list(Dataset("gtsrb/train", seed=seed, folder=str(folder)).frames())


def test_photographs_that_are_held_out_are_in_no_other_part(small_world: Path) -> None:
    parts = [Dataset(f"cifar10/{part}", folder=str(small_world)) for part in ("train", "calibration")]
    images = [{frame.image.tobytes(): frame.label for frame in part.frames()} for part in parts]
    assert (len(images[0]), len(images[1])) == (38, 2)
    assert not images[0].keys() & images[1].keys()
    assert images[1][gtsrb_files.picture(19).tobytes()] == 9


def test_the_official_folders_give_images_of_their_own_size(small_world: Path) -> None:
    frames = sorted(Dataset("gtsrb/test", folder=str(small_world)).frames(), key=lambda frame: frame.name)
    assert frames[2].image.shape == (51, 50, 3)
    assert (frames[2].label, frames[2].roi, frames[2].track) == (12, (5, 6, 45, 46), None)


def test_the_data_folder_comes_from_the_environment(small_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEBENCH_DATA", str(small_world))
    assert Dataset("gtsrb/test").length == 4


def test_a_folder_is_read_in_natural_order_with_labels_where_asked(small_world: Path) -> None:
    plain = list(Folder(str(small_world / "images")).frames())
    assert [frame.name for frame in plain] == [f"00014/frame {index}.png" for index in (1, 9, 10)]
    assert [frame.label for frame in plain] == [None] * 3
    assert [frame.image.shape for frame in plain] == [(30, 21, 3), (30, 29, 3), (30, 30, 3)]
    assert {frame.label for frame in Folder(str(small_world / "images"), task="gtsrb").frames()} == {14}


@given(st.lists(st.integers(0, 10**12), max_size=20), st.text(max_size=5))
def test_natural_order_is_that_of_the_numbers(numbers: list[int], word: str) -> None:
    # "0" to "9" in the word would be part of another number.
    word = "".join(letter for letter in word if letter not in "0123456789")
    names = [f"{word}{number}.png" for number in numbers]
    assert sorted(names, key=natural_key) == [f"{word}{number}.png" for number in sorted(numbers)]


@given(st.text(alphabet="a1²٣. ", max_size=8), st.text(alphabet="a1²٣. ", max_size=8))
def test_natural_keys_of_any_two_names_can_be_compared(one: str, other: str) -> None:
    assert (natural_key(one) < natural_key(other)) + (natural_key(other) < natural_key(one)) <= 1


def test_a_folder_counts_what_it_skips(tmp_path: Path) -> None:
    Image.fromarray(gtsrb_files.picture(0)).save(tmp_path / "good.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:-400])
    (tmp_path / "notes.txt").write_text("three stops\n")
    (tmp_path / "a.png").write_text("no picture")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    folder = Folder(str(tmp_path))
    for _ in range(2):
        assert [frame.name for frame in folder.frames()] == ["good.png"]
        assert folder.skipped.count == 4
        assert str(folder.skipped) == (
            "gone.png is not a regular file, notes.txt is not an image, a.png is not an image and 1 more"
        )


def test_a_recorded_stream_is_read_back_as_written(small_world: Path) -> None:
    source = Recorded(str(small_world / "stream.npz"))
    frames = list(source.frames())
    assert source.task == "gtsrb"
    assert [frame.label for frame in frames] == [None, 0, 1, 2, 3]
    assert [frame.track for frame in frames] == [0, 0, 1, 1, None]
    for seed, frame in enumerate(frames):
        assert np.array_equal(frame.image, gtsrb_files.picture(seed))
        # torch.from_numpy warns of arrays that cannot be written to.
        assert frame.image.flags.writeable


def test_a_stream_may_have_images_alone(tmp_path: Path) -> None:
    np.savez(tmp_path / "bare.npz", schema=1, images=np.zeros((2, 4, 5, 3), np.uint8))
    source = Recorded(str(tmp_path / "bare.npz"))
    assert source.task is None
    assert [(frame.label, frame.track, frame.image.shape) for frame in source.frames()] == [(None, None, (4, 5, 3))] * 2


def test_a_stream_that_cannot_be_written_leaves_the_old_one(small_world: Path) -> None:
    stream = small_world / "stream.npz"
    before = stream.read_bytes()
    with pytest.raises(ValueError, match=r"labels \(2,\) int64 instead of one integer for each image"):
        write_recorded(stream, np.zeros((3, 4, 4, 3), np.uint8), np.zeros(2, np.int64))
    with pytest.raises(SourceError, match="cannot be written"):
        write_recorded(small_world / "no folder" / "stream.npz", np.zeros((3, 4, 4, 3), np.uint8))
    assert stream.read_bytes() == before
    assert not list(small_world.glob(".*"))


@pytest.mark.data
def test_real_tracks_are_approaches(data_folder: Path) -> None:
    tracks = defaultdict(list)
    source = Dataset("gtsrb/tracks", folder=str(data_folder))
    for frame in islice(source.frames(), 300):
        tracks[frame.track].append(frame)
    assert source.length == 39_179
    assert [len(frames) for frames in tracks.values()] == [30] * 10
    assert all(len({frame.label for frame in frames}) == 1 for frames in tracks.values())
