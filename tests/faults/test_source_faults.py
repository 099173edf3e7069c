"""Everything that can be wrong with a source, and the whole sentence that says so."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import clips
import gtsrb_files
import numpy as np
import pytest
from PIL import Image

from devices.sources.base import Source, SourceError
from devices.sources.dataset import Dataset
from devices.sources.folder import Folder
from devices.sources.recorded import Recorded, write_recorded
from devices.sources.synthetic import Synthetic
from devices.sources.video import Video

PIXELS = np.zeros((3, 4, 5, 3), np.uint8)
PROVIDE = "unpack GTSRB (https://benchmark.ini.rub.de), and name its folder with folder=PATH or EDGEBENCH_DATA"
AGAIN = "record the stream again"

# What spoils the folder `at`.
Spoil = Callable[[Path], Any]


def nothing(at: Path) -> None:
    pass


def text(name: str, content: str = "no picture\n") -> Spoil:
    return lambda at: (at / name).write_text(content)


def image(name: str, keep: int | None = None) -> Spoil:
    def spoil(at: Path) -> None:
        (at / name).parent.mkdir(exist_ok=True)
        Image.fromarray(gtsrb_files.picture(0)).save(at / name)
        (at / name).write_bytes((at / name).read_bytes()[:keep])

    return spoil


def stream(**arrays: Any) -> Spoil:
    return lambda at: np.savez_compressed(at / "s.npz", **{"schema": 1, "images": PIXELS, **arrays})


def cut_stream(at: Path) -> None:
    write_recorded(at / "s.npz", PIXELS)
    (at / "s.npz").write_bytes((at / "s.npz").read_bytes()[:300])


def damaged_stream(at: Path) -> None:
    """The last value does not match the archive's checksum."""
    np.savez(at / "s.npz", images=np.zeros((3, 64, 64, 3), np.uint8), schema=1)
    content = bytearray((at / "s.npz").read_bytes())
    content[content.index(b"PK", 4) - 1] ^= 1
    (at / "s.npz").write_bytes(content)


def bomb(at: Path) -> None:
    """An archive that says that it unpacks to 2.9 GiB."""
    shape = (1_000_000, 32, 32, 3)
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}".encode()
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(at / "s.npz", "w") as archive:
        archive.writestr("images.npy", start)
    content = bytearray((at / "s.npz").read_bytes())
    size = content.index(b"PK\x01\x02") + 24
    content[size : size + 4] = (len(start) + int(np.prod(shape))).to_bytes(4, "little")
    (at / "s.npz").write_bytes(content)


def cut_clip(at: Path) -> None:
    clips.write_clip(at / "clip.mp4", 5, "mpeg4")
    content = (at / "clip.mp4").read_bytes()
    (at / "clip.mp4").write_bytes(content[: content.index(b"moov") - 4])


def play_list(at: Path) -> None:
    """A good list of a good clip: FFmpeg would follow it, here or over the network."""
    clips.write_clip(at / "clip.ts", 5, "mpeg2video")
    (at / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.ts\n#EXT-X-ENDLIST\n")


def official(spoil: Spoil) -> Spoil:
    def make(at: Path) -> None:
        gtsrb_files.write_official(at)
        spoil(at)

    return make


def label_line(line: str) -> Spoil:
    def spoil(at: Path) -> None:
        with (at / "GT-final_test.csv").open("a") as labels:
            labels.write(line + "\n")

    return official(spoil)


def packed(**columns: Any) -> Spoil:
    tiles = np.zeros((3, 32, 32, 3), np.uint8)
    return lambda at: gtsrb_files.write_packed(at / "gtsrb-test-public.npz", tiles, [1, 2, 3], **columns)


def synthetic(location: str = "gtsrb", **options: Any) -> Callable[[Path], Source]:
    return lambda at: Synthetic(location, **options)


def dataset(location: str = "gtsrb/test", **options: Any) -> Callable[[Path], Source]:
    return lambda at: Dataset(location, **{"folder": str(at), **options})


def folder(name: str = "", **options: Any) -> Callable[[Path], Source]:
    return lambda at: Folder(str(at / name), **options)


def video(name: str) -> Callable[[Path], Source]:
    return lambda at: Video(str(at / name))


def recorded(name: str = "s.npz") -> Callable[[Path], Source]:
    return lambda at: Recorded(str(at / name))


# name: what is wrong, what the user asks for, what the user reads ("@" is the folder).
FAULTS: dict[str, tuple[Spoil, Callable[[Path], Source], str]] = {
    "synthetic: unknown classes": (
        nothing,
        synthetic("cifar10"),
        "nothing is rendered for 'cifar10': choose gtsrb, as in synthetic://gtsrb",
    ),
    "synthetic: seed": (
        nothing,
        synthetic(seed=-1),
        "seed=-1 of synthetic://gtsrb is out of range: choose 0 or more, for example seed=7",
    ),
    "synthetic: tracks": (
        nothing,
        synthetic(tracks=-5),
        "tracks=-5 of synthetic://gtsrb is out of range: choose 0 or more, for example tracks=7",
    ),
    "dataset: unknown": (
        nothing,
        dataset("mnist"),
        "there is no data set 'mnist': choose dataset:// with gtsrb/test, gtsrb/train, gtsrb/tracks, cifar10/test, "
        "cifar10/train, cifar10/calibration, cifar100/test, cifar100/train, cifar100/calibration, tiny-imagenet/test, "
        "tiny-imagenet/train, tiny-imagenet/calibration",
    ),
    "dataset: seed": (
        nothing,
        dataset(seed=-1),
        "seed=-1 of dataset://gtsrb/test is out of range: choose 0 or more, for example seed=7",
    ),
    "dataset: nowhere": (
        nothing,
        dataset(folder=None),
        f"dataset://gtsrb/test does not know where the data lies: {PROVIDE}",
    ),
    "dataset: no such folder": (
        nothing,
        dataset(folder="/no/such"),
        "/no/such does not exist: check the path, for example dataset://gtsrb/test?folder=data",
    ),
    "dataset: empty folder": (nothing, dataset(), f"@ holds no Final_Test/Images: {PROVIDE}"),
    "dataset: incomplete training": (
        official(lambda at: (at / "Final_Training/Images/00042/GT-00042.csv").unlink()),
        dataset("gtsrb/tracks"),
        f"@/Final_Training/Images is incomplete: there is no 00042/GT-00042.csv: {PROVIDE}",
    ),
    "dataset: labels missing": (
        official(lambda at: (at / "GT-final_test.csv").unlink()),
        dataset(),
        "@/Final_Test/Images lacks its labels: there is no GT-final_test.csv (in GTSRB_Final_Test_GT.zip): " + PROVIDE,
    ),
    "dataset: annotation leads out of the folder": (
        label_line("../../secret.ppm;50;51;5;6;45;46;3"),
        dataset(),
        "@/GT-final_test.csv is damaged in line 6 ('../../secret.ppm' of class 3); download it again",
    ),
    "dataset: class out of range": (
        label_line("00009.ppm;50;51;5;6;45;46;43"),
        dataset(),
        "@/GT-final_test.csv is damaged in line 6 ('00009.ppm' of class 43); download it again",
    ),
    "dataset: half an annotation": (
        label_line("00009.ppm;50"),
        dataset(),
        "@/GT-final_test.csv is damaged in line 6 (invalid literal for int() with base 10: ''); download it again",
    ),
    "dataset: annotation of another file": (
        official(text("GT-final_test.csv", "name,label\na,1\n")),
        dataset(),
        "@/GT-final_test.csv is damaged in line 2 (there is no column 'Filename'); download it again",
    ),
    "dataset: image missing": (
        label_line("00009.ppm;50;51;5;6;45;46;3"),
        dataset(),
        "@/Final_Test/Images/00009.ppm is gone: unpack the download again",
    ),
    "dataset: packed file is none": (
        text("gtsrb-test-public.npz"),
        dataset(),
        "@/gtsrb-test-public.npz is no numpy archive, or cut off; copy it again",
    ),
    "dataset: packed file of something else": (
        lambda at: np.savez(at / "gtsrb-test-public.npz", a=1),
        dataset(),
        "@/gtsrb-test-public.npz is not a packed image file: it has no array 'img_bytes'",
    ),
    "dataset: packed file without annotations": (
        packed(),
        dataset(),
        "@/gtsrb-test-public.npz is damaged: its column 'roi' is missing or misshapen; copy it again",
    ),
    "dir: no place": (
        nothing,
        lambda at: Folder(""),
        "the source names no place: write it behind the scheme, for example dir://recordings/monday",
    ),
    "dir: does not exist": (
        nothing,
        folder("gone"),
        "@/gone does not exist: check the path, for example dir://recordings/monday",
    ),
    "dir: below a file": (
        text("file"),
        folder("file/below"),
        "@/file/below does not exist: check the path, for example dir://recordings/monday",
    ),
    "dir: a file": (
        image("one.png"),
        folder("one.png"),
        "@/one.png is a file, not a folder: name its folder, or read it alone with file://@/one.png",
    ),
    "dir: unknown user": (
        nothing,
        lambda at: Folder("~nobody-of-this-name/images"),
        "~nobody-of-this-name/images cannot be opened (Could not determine home directory.): check the path, for "
        "example dir://recordings/monday",
    ),
    "dir: empty": (nothing, folder(), "@ holds no image: it is empty; name a folder with PNG, JPEG or PPM files"),
    "dir: no images": (
        text("notes.txt"),
        folder(),
        "@ holds no image: 1 skipped (notes.txt is not an image); name a folder with PNG, JPEG or PPM files",
    ),
    "dir: images in name only": (
        lambda at: [text(name)(at) for name in ("a.png", "b.png", "c.jpg", "d.txt")],
        folder(),
        "@ holds no image: 4 skipped (d.txt is not an image, a.png is not an image, b.png is not an image and 1 more); "
        "name a folder with PNG, JPEG or PPM files",
    ),
    "dir: truncated": (
        image("cut.png", keep=600),
        folder(),
        "@ holds no image: 1 skipped (cut.png is truncated); name a folder with PNG, JPEG or PPM files",
    ),
    "dir: task without class folders": (
        image("stop/1.png"),
        folder(task="gtsrb"),
        "stop/1.png in @ lies in no sub-folder named by a class number, such as 00014: sort the images by class, or "
        "leave task=gtsrb out",
    ),
    "dir: task without folders": (
        image("1.png"),
        folder(task="gtsrb"),
        "1.png in @ lies in no sub-folder named by a class number, such as 00014: sort the images by class, or leave "
        "task=gtsrb out",
    ),
    "file: does not exist": (
        nothing,
        video("clip.mp4"),
        "@/clip.mp4 does not exist: check the path, for example file://clip.mp4",
    ),
    "file: a folder": (nothing, video(""), "@ is a folder, not a file: read its images with dir://@"),
    "file: a pipe": (
        lambda at: os.mkfifo(at / "pipe.mp4"),
        video("pipe.mp4"),
        "@/pipe.mp4 is not a regular file: give a file, for example file://clip.mp4",
    ),
    "file: no video": (
        text("clip.mp4"),
        video("clip.mp4"),
        "@/clip.mp4 is no video that can be read: give an MP4, MKV, AVI or image file",
    ),
    "file: a play list": (
        play_list,
        video("list.m3u8"),
        "@/list.m3u8 is no video that can be read: give an MP4, MKV, AVI or image file",
    ),
    "file: video without its index": (
        cut_clip,
        video("clip.mp4"),
        "@/clip.mp4 is no video that can be read: give an MP4, MKV, AVI or image file",
    ),
    "file: no frame": (
        lambda at: clips.write_clip(at / "clip.avi", 0),
        video("clip.avi"),
        "@/clip.avi holds no frame: record it again",
    ),
    "file: sound only": (
        lambda at: clips.write_silence(at / "clip.mkv"),
        video("clip.mkv"),
        "@/clip.mkv holds no video stream: copy it again, or give a file with pictures in it",
    ),
    "file: image in name only": (
        text("one.png"),
        video("one.png"),
        "@/one.png is not an image: give a PNG, JPEG or PPM file of up to 64 megapixels",
    ),
    "file: truncated image": (
        image("one.png", keep=600),
        video("one.png"),
        "@/one.png is truncated: give a PNG, JPEG or PPM file of up to 64 megapixels",
    ),
    "recorded: does not exist": (
        nothing,
        recorded(),
        "@/s.npz does not exist: check the path, for example recorded://attack.npz",
    ),
    "recorded: no archive": (text("s.npz"), recorded(), f"@/s.npz is no numpy archive, or cut off: {AGAIN}"),
    "recorded: cut off": (cut_stream, recorded(), f"@/s.npz is no numpy archive, or cut off: {AGAIN}"),
    "recorded: damaged": (
        damaged_stream,
        recorded(),
        "@/s.npz broke off after 2 frames: it is damaged inside images; record it again",
    ),
    "recorded: bomb": (bomb, recorded(), f"@/s.npz unpacks to 2.9 GiB, more than 2: {AGAIN}"),
    "recorded: pickles": (
        stream(images=np.array([{}], object)),
        recorded(),
        f"@/s.npz holds Python objects (images.npy), which are not read because they can run code: {AGAIN}",
    ),
    "recorded: something else": (
        lambda at: np.savez(at / "s.npz", schema=1),
        recorded(),
        f"@/s.npz is no recorded stream, because it has no array 'images': {AGAIN}",
    ),
    "recorded: of the future": (
        stream(schema=2),
        recorded(),
        f"@/s.npz has schema 2, and this version of edgebench reads 1: {AGAIN}",
    ),
    "recorded: schema in words": (
        stream(schema="one"),
        recorded(),
        f"@/s.npz has a schema that is not an integer: {AGAIN}",
    ),
    "recorded: floating point": (
        stream(images=PIXELS / 255),
        recorded(),
        f"@/s.npz has images (3, 4, 5, 3) float64 instead of (n, height, width, 3) uint8: {AGAIN}",
    ),
    "recorded: planes first": (
        stream(images=PIXELS.transpose(0, 3, 1, 2).copy()),
        recorded(),
        f"@/s.npz has images (3, 3, 4, 5) uint8 instead of (n, height, width, 3) uint8: {AGAIN}",
    ),
    "recorded: no frame": (
        stream(images=PIXELS[:0]),
        recorded(),
        f"@/s.npz has images (0, 4, 5, 3) uint8 instead of (n, height, width, 3) uint8: {AGAIN}",
    ),
    "recorded: labels of another stream": (
        stream(labels=np.arange(4)),
        recorded(),
        f"@/s.npz has labels (4,) int64 instead of one integer for each image: {AGAIN}",
    ),
    "recorded: tracks in words": (
        stream(tracks=np.array(["a", "b", "c"])),
        recorded(),
        f"@/s.npz has tracks (3,) <U1 instead of one integer for each image: {AGAIN}",
    ),
    "recorded: a novel as task": (
        stream(task="x" * 65),
        recorded(),
        f"@/s.npz has a task that is not a word of up to 64 letters: {AGAIN}",
    ),
}


def sentence(source: Callable[[Path], Source], at: Path) -> str:
    """What the user reads instead of the end of the stream, the folder written "@"."""
    with pytest.raises(SourceError) as refusal:
        for _ in source(at).frames():
            pass
    return str(refusal.value).replace(str(at), "@")


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_one_sentence(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEBENCH_DATA", raising=False)
    spoil, source, expected = FAULTS[fault]
    spoil(tmp_path)
    assert sentence(source, tmp_path) == expected


def test_a_video_without_pyav_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips.write_clip(tmp_path / "clip.avi", 1)
    monkeypatch.setitem(sys.modules, "av", None)
    assert sentence(video("clip.avi"), tmp_path) == (
        "video files need PyAV, which is missing: pip install 'edgebench[camera]'"
    )


@contextmanager
def _somebody_else() -> Iterator[None]:
    """Files that belong to root are not ours any more, as for the user of a board."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (video("one.png"), "@/one.png may not be read by this user: change its permissions (chmod a+r)"),
        (recorded(), "@/s.npz may not be read by this user: change its permissions (chmod a+r)"),
        (folder("locked"), "@/locked may not be read by this user: change its permissions (chmod a+rx)"),
        (
            video("locked/one.png"),
            "@/locked/one.png may not be reached by this user: change the permissions of its folders",
        ),
        (dataset(), "@/gtsrb-test-public.npz cannot be read (Permission denied): look at its permissions"),
        (
            folder(),
            "@ holds no image: 4 skipped (gtsrb-test-public.npz is not an image, locked may not be read, s.npz is not "
            "an image and 1 more); name a folder with PNG, JPEG or PPM files",
        ),
    ],
)
def test_what_may_not_be_read_is_said(source: Callable[[Path], Source], expected: str) -> None:
    # pytest's own temporary folders are closed to other users altogether.
    with TemporaryDirectory() as name:
        at = Path(name)
        (at / "locked").mkdir()
        image("one.png")(at)
        image("readable.png")(at)
        # Pillow and numpy load what they need while they still may.
        assert len(list(Folder(name).frames())) == 2
        (at / "readable.png").unlink()
        stream()(at)
        packed()(at)
        for path in at.iterdir():
            path.chmod(0)
        at.chmod(0o755)
        try:
            with _somebody_else():
                assert sentence(source, at) == expected
        finally:
            (at / "locked").chmod(0o755)
