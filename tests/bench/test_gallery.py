"""Frames to look at: what is written into them, where they go, and that the run waits for none of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import runs
from PIL import Image

from bench.gallery import Gallery, GalleryError, check_folder, check_screen
from bench.gallery.gallery import caption
from bench.gallery.process import Folder, drawn
from devices.sources.base import Frame

CLASSES = [f"sign {label}" for label in range(43)]
RECORD = runs.records(runs.facts(), 30)[25]


def frame(width: int = 48, height: int = 32) -> Frame:
    return Frame(np.full((height, width, 3), 200, np.uint8), "grey", roi=(2, 2, 20, 20))


def test_the_caption_says_answer_path_and_latency() -> None:
    record = RECORD._replace(label=3, predicted=3, route="1101", inference_ns=5_310_000, preprocess_ns=1_000_000)
    assert caption(record, CLASSES) == [
        "frame 25  sign 3 (right)",
        "path 1101",
        "5.31 ms, 6.31 ms from its arrival",
    ]
    assert caption(record._replace(predicted=7), CLASSES)[0] == "frame 25  sign 7 (wrong: sign 3)"
    assert caption(record._replace(label=None, exit=2), CLASSES)[:2] == ["frame 25  sign 3", "path 1101 exit 2"]
    assert caption(record._replace(predicted=None, route=""), CLASSES)[:1] == ["frame 25  no answer"]
    assert caption(record._replace(predicted=99), CLASSES)[0] == "frame 25  class 99 (wrong: sign 3)"


@pytest.mark.parametrize("size", [(32, 32), (640, 480), (4000, 200), (1, 500)])
def test_a_frame_is_drawn_at_a_size_to_look_at(size: tuple[int, int]) -> None:
    lines = ["frame 0", "path 11", "5 ms"]
    picture = drawn(Image.new("RGB", size, "white"), lines, None)
    assert 320 <= picture.width <= 960
    assert picture.height <= 960 + 3 * 21 + 6
    # White on black below the frame.
    below = np.asarray(picture.crop((0, picture.height - 60, 200, picture.height)))
    assert below.max() > 200
    assert below.min() < 20


def test_the_marked_region_is_framed() -> None:
    picture = np.asarray(drawn(Image.new("RGB", (32, 32)), [], (8, 8, 24, 24)))
    assert (picture[80, 160] == (0, 255, 0)).all()
    assert (picture[160, 160] == 0).all()


def test_a_folder_keeps_the_last_pictures_of_one_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("bench.gallery.process.time.monotonic", lambda: now[0])
    monkeypatch.setattr("bench.gallery.process._MOST_KEPT", 3)
    folder = Folder(tmp_path)
    for number in range(60):
        now[0] = 100 + number / 4
        folder.take(number, Image.new("RGB", (4, 4)))
    assert [path.name for path in sorted(tmp_path.iterdir())] == [f"frame-{number:07}.png" for number in (48, 52, 56)]


def test_frames_become_pictures_in_a_process_of_its_own(tmp_path: Path) -> None:
    gallery = Gallery(window=False, folder=tmp_path, classes=CLASSES)
    gallery(frame(), RECORD)
    # Too soon after the first: left out.
    gallery(frame(), RECORD._replace(frame=26))
    wait_for(lambda: list(tmp_path.glob("*.png")))
    gallery.close()
    (picture,) = tmp_path.iterdir()
    assert picture.name == "frame-0000025.png"
    with Image.open(picture) as image:
        assert image.width == 480


def test_a_process_that_died_costs_the_run_nothing(tmp_path: Path) -> None:
    gallery = Gallery(window=False, folder=tmp_path, classes=CLASSES)
    gallery._process.kill()
    gallery._process.wait()
    for number in range(3):
        gallery._due_ns = 0
        gallery(frame(), RECORD._replace(frame=number))
    gallery.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="no Xvfb for a window: apt install xvfb")
def test_a_window_lives_as_long_as_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("tkinter")
    display = f":{90 + os.getpid() % 9000}"
    with subprocess.Popen(["Xvfb", display], stderr=subprocess.DEVNULL) as screen:
        try:
            wait_for(Path(f"/tmp/.X11-unix/X{display[1:]}").exists)
            monkeypatch.setenv("DISPLAY", display)
            check_screen()
            gallery = Gallery(window=True, folder=tmp_path, classes=CLASSES)
            gallery(frame(), RECORD)
            # It is kept after it was shown.
            wait_for(lambda: list(tmp_path.glob("*.png")))
            assert gallery._process.poll() is None
            gallery.close()
            assert gallery._process.returncode == 0
        finally:
            screen.terminate()


def test_a_board_without_a_screen_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(GalleryError, match="keep pictures instead, with --snapshot DIR"):
        check_screen()


def test_a_folder_with_files_in_it_is_refused(tmp_path: Path) -> None:
    check_folder(tmp_path / "new" / "folder")
    (tmp_path / "file").touch()
    with pytest.raises(GalleryError, match="holds files, or may not be written to"):
        check_folder(tmp_path)
    with pytest.raises(GalleryError, match="no pictures can be kept there"):
        check_folder(tmp_path / "file")


def wait_for(happened) -> None:
    give_up = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.02)
