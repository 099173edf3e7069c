"""What is recorded comes back: pictures, times, names, labels and regions."""

from __future__ import annotations

import io
import json
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from devices import recording
from devices.png import encode_png
from devices.recording import INDEX, ClipWriter, RecordingError, read_clip
from devices.sources.base import Frame, SourceError, is_live
from devices.sources.capture import Capture
from devices.sources.folder import Folder
from devices.sources.recorded import Recorded

PICTURES = arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)))


def frames(count: int) -> list[Frame]:
    rng = np.random.default_rng(0)
    return [
        Frame(
            rng.integers(0, 256, (6 + index % 2, 8, 3), np.uint8),
            f"frame {index}",
            None if index == 1 else index,
            index // 2,
            (1, 1, 5, 5) if index % 2 else None,
            5_000_000_000 + index * 20_000_000,
        )
        for index in range(count)
    ]


def write(folder: Path, count: int, *, task: str | None = "gtsrb") -> list[Frame]:
    written = frames(count)
    with ClipWriter(folder, task) as clip:
        for index, frame in enumerate(written):
            clip.append(frame, 5_003_000_000 + index * 21_000_000)
    return written


@settings(max_examples=40)
@given(PICTURES)
def test_pillow_reads_the_pictures_without_loss(picture: np.ndarray) -> None:
    decoded = Image.open(io.BytesIO(encode_png(picture)))
    decoded.load()
    assert decoded.mode == "RGB"
    assert np.array_equal(np.asarray(decoded), picture)


@pytest.mark.parametrize("pace", ["recorded", "none"])
def test_what_was_recorded_comes_back(tmp_path: Path, pace: str) -> None:
    written = write(tmp_path / "clip", 5)
    source = Recorded(str(tmp_path / "clip"), pace=pace)  # type: ignore[arg-type]
    assert (source.task, source.length, is_live(source)) == ("gtsrb", 5, pace == "recorded")
    for original, replayed in zip(written, source.frames(), strict=True):
        assert np.array_equal(original.image, replayed.image)
        assert replace(original, image=replayed.image, captured_ns=None) == replayed


def test_it_is_replayed_at_the_times_of_the_driver(tmp_path: Path) -> None:
    write(tmp_path / "clip", 4)
    source = Recorded(str(tmp_path / "clip"))
    assert source.offset_ns is not None
    assert [source.offset_ns(index) for index in range(4)] == [0, 20_000_000, 40_000_000, 60_000_000]
    capture = Capture(source, "all")
    arrivals = [captured.arrival_ns for captured in capture]
    offsets = np.array(arrivals) - arrivals[0]
    assert (offsets >= np.arange(4) * 20_000_000).all()
    assert capture.late + (offsets == np.arange(4) * 20_000_000).sum() == 4


@pytest.mark.parametrize("captured", [None, 4_000_000_000])
def test_a_driver_whose_times_are_missing_or_go_back_is_not_believed(tmp_path: Path, captured: int | None) -> None:
    first, second = frames(2)
    with ClipWriter(tmp_path / "clip", None) as clip:
        clip.append(first, 10)
        clip.append(replace(second, captured_ns=captured), 30)
    assert read_clip(tmp_path / "clip").times_ns() == [0, 20]


def test_frames_of_a_source_that_is_not_live_have_no_times(tmp_path: Path) -> None:
    with ClipWriter(tmp_path / "clip", None) as clip:
        for frame in frames(2):
            clip.append(replace(frame, captured_ns=None))
    source = Recorded(str(tmp_path / "clip"))
    assert not is_live(source)
    assert source.offset_ns is None


def test_a_clip_is_a_folder_of_pictures_too(tmp_path: Path) -> None:
    written = write(tmp_path / "clip", 3)
    for original, seen in zip(written, Folder(str(tmp_path / "clip")).frames(), strict=True):
        assert np.array_equal(original.image, seen.image)


@pytest.mark.parametrize("cut", [1, 2, 30, 60])
def test_a_writer_that_was_killed_leaves_what_it_had_finished(tmp_path: Path, cut: int) -> None:
    write(tmp_path / "clip", 3)
    index = tmp_path / "clip" / INDEX
    index.write_bytes(index.read_bytes()[:-cut])
    assert Recorded(str(tmp_path / "clip")).length == 2


def test_a_clip_without_a_frame_leaves_nothing(tmp_path: Path) -> None:
    with ClipWriter(tmp_path / "clip", None):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_files_is_not_written_to(tmp_path: Path) -> None:
    write(tmp_path / "clip", 1)
    with pytest.raises(RecordingError, match="already holds files"):
        ClipWriter(tmp_path / "clip", None)
    assert read_clip(tmp_path / "clip").frames


def test_a_full_disk_leaves_no_piece_of_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        real(self, content[:20])
        raise OSError(28, "No space left on device", str(self))

    with ClipWriter(tmp_path / "clip", None) as clip:
        clip.append(frames(1)[0], 0)
        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            clip.append(frames(1)[0], 1)
    assert sorted(path.name for path in (tmp_path / "clip").iterdir()) == ["00000000.png", INDEX]
    assert Recorded(str(tmp_path / "clip")).length == 1


def test_a_clip_is_written_in_the_memory_of_a_picture(tmp_path: Path) -> None:
    frame = Frame(np.zeros((240, 320, 3), np.uint8), "frame")
    tracemalloc.start()
    with ClipWriter(tmp_path / "clip", None) as clip:
        for _ in range(40):
            clip.append(frame, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * frame.image.nbytes


def test_no_more_frames_than_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MAX_FRAMES", 2)
    with ClipWriter(tmp_path / "clip", None) as clip:
        for frame in frames(2):
            clip.append(frame, 0)
        with pytest.raises(RecordingError, match="as many as a clip may"):
            clip.append(frame, 0)
    assert Recorded(str(tmp_path / "clip")).length == 2
    with open(tmp_path / "clip" / INDEX, "ab") as index:
        index.write(b'{"name": "one more"}\n')
    with pytest.raises(SourceError, match="more than 2 frames"):
        Recorded(str(tmp_path / "clip"))


HEAD = b'{"schema": 1, "task": null}\n'
GOOD = {"name": "a", "arrival_ns": 0, "captured_ns": None, "label": None, "track": None, "roi": None}


def line(**changes: object) -> bytes:
    return HEAD + json.dumps(GOOD | changes).encode() + b"\n"


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        (b"", "holds no frame"),
        (HEAD, "holds no frame"),
        (b"\x80\x04pickle\n", "is damaged in the first line"),
        (b"[" * 2000 + b"\n", "is damaged in the first line"),
        (b'{"schema": 2}\n', "has schema 2, and this version of edgebench reads 1"),
        (b'{"schema": 1, "task": 7}\n', "has a task that is not a word"),
        (HEAD + b"{" + b" " * 4000 + b"}\n", "has a line 1 that is too long"),
        (HEAD + b"7\n", "is damaged in the line of frame 0"),
        (line(name=None), "has no name in the line of frame 0"),
        (line(name="n" * 300), "has no name in the line of frame 0"),
        (line(arrival_ns=0.5), "has a arrival_ns that is no whole number"),
        (line(label=True), "has a label that is no whole number"),
        (line(track=2**70), "has a track that is no whole number"),
        (line(roi=[1, 2, 3]), "has a roi that is no x1, y1, x2, y2"),
        (line(roi=["a", 2, 3, 4]), "has a roi that is no x1, y1, x2, y2"),
    ],
)
def test_a_damaged_index_is_refused_in_one_sentence(tmp_path: Path, index: bytes, reason: str) -> None:
    write(tmp_path / "clip", 1)
    (tmp_path / "clip" / INDEX).write_bytes(index)
    with pytest.raises(SourceError) as refused:
        Recorded(str(tmp_path / "clip"))
    assert str(refused.value).startswith(f"{tmp_path / 'clip'} {reason}")
    assert str(refused.value).endswith("record it again")


@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_a_damaged_picture_ends_the_stream_after_those_before(tmp_path: Path, damage: str) -> None:
    write(tmp_path / "clip", 3)
    picture = tmp_path / "clip" / "00000002.png"
    content = picture.read_bytes()
    picture.unlink()
    if damage != "gone":
        picture.write_bytes(content[: len(content) // 2] if damage == "cut" else b"GIF89a")
    stream = Recorded(str(tmp_path / "clip")).frames()
    assert [next(stream).name, next(stream).name] == ["frame 0", "frame 1"]
    with pytest.raises(SourceError, match=r"broke off after 2 frames: the next is .+; record it again"):
        next(stream)


def test_a_folder_that_is_no_clip(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is no clip, since it holds no frames\.jsonl: read .* dir://"):
        Recorded(str(tmp_path))


def test_the_home_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "clip", 1)
    assert Recorded(os.path.join("~", "clip")).length == 1
