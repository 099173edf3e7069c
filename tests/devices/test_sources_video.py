from __future__ import annotations

from itertools import islice
from pathlib import Path

import clips
import numpy as np
import pytest

from devices.sources.base import SourceError
from devices.sources.video import Video


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "mpeg4"), (".mkv", "mpeg4"), (".avi", "mjpeg"), (".mp4", "mjpeg")]
)
def test_a_clip_gives_its_pictures_in_order(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"clip{suffix}"
    clips.write_clip(path, 12, codec)
    source = Video(str(path))
    frames = list(source.frames())
    assert [frame.name for frame in frames] == [f"clip{suffix} frame {index}" for index in range(12)]
    assert source.length in (12, None)
    assert source.task is None
    for index, frame in enumerate(frames):
        # Lossy codecs blur the edge between the two fields.
        difference = np.abs(frame.image.astype(int) - clips.picture(index))
        assert np.median(difference) <= 6


def test_a_clip_may_begin_again(tmp_path: Path) -> None:
    clips.write_clip(tmp_path / "clip.avi", 3)
    source = Video(str(tmp_path / "clip.avi"), loop=True)
    assert source.length is None
    assert [frame.name[-1] for frame in islice(source.frames(), 7)] == list("0120120")


def test_a_clip_that_was_held_sideways_is_turned(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    clips.write_clip(path, 2, "mpeg4")
    clips.turn_clip(path)
    image = next(iter(Video(str(path)).frames())).image
    assert image.shape == (clips.WIDTH, clips.HEIGHT, 3)
    # The bright corner has gone from the upper left to the upper right.
    upper_left, upper_right = image[2:20, 2:12].mean(), image[2:20, -12:-2].mean()
    assert upper_right > 200 > 60 > upper_left


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "mpeg4"), (".avi", "mjpeg")])
def test_a_clip_cut_in_a_picture_gives_the_pictures_before(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"clip{suffix}"
    clips.write_clip(path, 12, codec)
    with clips.av.open(str(path)) as container:
        seventh = [packet for packet in container.demux(video=0) if packet.size][6]
    path.write_bytes(path.read_bytes()[: seventh.pos + seventh.size // 2])
    frames = Video(str(path)).frames()
    assert [next(frames).name for _ in range(6)][-1] == f"clip{suffix} frame 5"
    with pytest.raises(SourceError) as broken:
        next(frames)
    assert str(broken.value) == (
        f"{path} broke off after 6 frames (the next is cut off): copy it again, or cut it there"
    )
