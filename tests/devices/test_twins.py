"""The file of adversarial twins: what was written is read, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import twin_streams

from devices.datasets.archive import Archive
from devices.sources.base import SourceError
from devices.sources.recorded import Recorded
from devices.twins import read_twins, write_twins

PAIRS = 6


def test_what_was_written_is_read(tmp_path: Path) -> None:
    clean, adversarial, labels = twin_streams.frames(PAIRS)
    floats = (adversarial / 255).astype(np.float32)
    scores = np.arange(PAIRS * 5, dtype=np.float32).reshape(PAIRS, 5)
    made = twin_streams.crafting(steps=[1, 2])

    digest = write_twins(
        tmp_path / "s.npz",
        clean,
        adversarial,
        labels,
        made,
        tracks=np.arange(PAIRS),
        floats=floats,
        clean_scores=scores,
        adversarial_scores=-scores,
    )

    with Archive(tmp_path / "s.npz") as archive:
        read = read_twins(archive)
    assert (read.crafting, read.digest) == (made, digest)
    for name, wrote in {
        "clean": clean,
        "adversarial": adversarial,
        "labels": labels,
        "tracks": np.arange(PAIRS),
        "floats": floats,
        "clean_scores": scores,
        "adversarial_scores": -scores,
    }.items():
        assert (getattr(read, name) == wrote).all(), name


def test_one_stream_has_one_file(tmp_path: Path) -> None:
    first, second = (twin_streams.write(tmp_path / name).read_bytes() for name in ("a.npz", "b.npz"))
    assert first == second


def test_twins_are_shown_in_turn_with_what_they_share(tmp_path: Path) -> None:
    clean, adversarial, labels = twin_streams.frames(PAIRS)
    source = Recorded(str(twin_streams.write(tmp_path / "s.npz", PAIRS, tracks=np.arange(PAIRS))))
    frames = list(source.frames())

    assert (source.length, source.task, source.live) == (len(frames), "toy", False)
    assert [frame.twin for frame in frames[:4]] == ["clean", "adversarial", "adversarial", "clean"]
    for frame in frames:
        expected = clean if frame.twin == "clean" else adversarial
        assert (frame.image == expected[frame.pair]).all()
        assert (frame.label, frame.track, frame.exact) == (labels[frame.pair], frame.pair, None)


def test_floats_are_shown_as_they_are_beside_their_8_bit_frames(tmp_path: Path) -> None:
    floats = np.linspace(0, 1, PAIRS * 48, dtype=np.float32).reshape(PAIRS, 4, 4, 3)
    path = str(twin_streams.write(tmp_path / "s.npz", PAIRS, floats=floats))

    exact = [frame for frame in Recorded(path).frames() if frame.twin == "floats"]

    assert [frame.pair for frame in exact] == list(range(PAIRS))
    assert all((frame.exact == floats[frame.pair]).all() for frame in exact)
    assert Recorded(path, floats=False).length == Recorded(path, share=0.5).length * 2 == 2 * PAIRS


def test_a_mixed_stream_shows_one_of_each_pair_in_order(tmp_path: Path) -> None:
    path = str(twin_streams.write(tmp_path / "s.npz", 40))
    frames = list(Recorded(path, share=0.25, bursts=5, seed=1).frames())

    assert [frame.pair for frame in frames] == list(range(40))
    assert sum(frame.twin == "adversarial" for frame in frames) == 10
    assert frames[0].image.base is not None, "a view: nothing is copied or unpacked between frames"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"share": 2.0}, "a share of 2 is none: choose a number from 0 to 1, such as 0.1"),
        ({"bursts": 3}, "bursts are of attacked frames: say which share is attacked, such as share=0.1"),
        ({"share": 0.5, "bursts": 0}, "bursts=0 is out of range: choose a whole number from 1 on, such as 7"),
        ({"block": 0}, "block=0 is out of range: choose a whole number from 1 on, such as 7"),
        ({"share": 0.5, "seed": -1}, "seed=-1 is out of range: choose a whole number from 0 on, such as 7"),
    ],
)
def test_options_out_of_range(tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    path = str(twin_streams.write(tmp_path / "s.npz"))
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 (the whole sentence is compared)
        Recorded(path, **options)
    assert str(refusal.value) == sentence


def spoiled(path: Path, **changes: Any) -> None:
    """The stream with other arrays (None: without), and the digest that it had."""
    twin_streams.write(path, PAIRS)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays = {name: value for name, value in {**arrays, **changes}.items() if value is not None}
    np.savez_compressed(path, **arrays)


OTHER = np.full((PAIRS, 4, 4, 3), 7, np.uint8)
BESIDE = "has adversarial (5, 4, 4, 3) beside clean frames (6, 4, 4, 3), so they are no twins"
AGAIN = ": craft it again, or copy it again"
ALTERED = "was altered after it was written (its content does not match its digest)"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"adversarial": OTHER}, ALTERED),
        ({"labels": np.zeros(PAIRS, np.int64)}, ALTERED),
        ({"crafting": np.frombuffer(b"{}", np.uint8)}, ALTERED),
        ({"digest": np.array("0" * 64)}, ALTERED),
        ({"clean": None}, "is no stream of twins, because it has no array 'clean'"),
        ({"more": np.zeros(3)}, "has an array 'more', which no stream of twins has"),
        (
            {"adversarial": OTHER[1:]},
            BESIDE,
        ),
        ({"adversarial": OTHER[..., 0]}, "has adversarial (6, 4, 4) uint8 instead of (n, height, width, 3) uint8"),
        ({"floats": OTHER.astype(np.float64)}, "has floats in float64 instead of float32"),
        ({"clean_scores": np.zeros(PAIRS, np.float32)}, "has clean_scores (6,) instead of the scores of each frame"),
        ({"labels": np.zeros(5, np.int64)}, "has labels (5,) int64 instead of int64 for each frame"),
        ({"crafting": np.zeros(0, np.uint8)}, "does not say how it was crafted"),
        ({"schema": np.array(2)}, "has schema 2 of twins, and this version of edgebench reads 1"),
        ({"schema": np.array("1")}, "has a schema that is not an integer"),
        ({"digest": np.array(3)}, "has a digest that is no SHA-256"),
    ],
)
def test_what_is_no_stream_is_one_sentence(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    spoiled(tmp_path / "s.npz", **changes)
    with pytest.raises(SourceError) as refusal:
        Recorded(str(tmp_path / "s.npz"))
    assert str(refusal.value) == f"{tmp_path / 's.npz'} {sentence}{AGAIN}"


def test_a_file_cut_off_anywhere_is_one_sentence(tmp_path: Path) -> None:
    content = twin_streams.write(tmp_path / "s.npz").read_bytes()
    for length in range(0, len(content), 97):
        (tmp_path / "s.npz").write_bytes(content[:length])
        with pytest.raises(SourceError, match=r"s\.npz is no numpy archive, or cut off: record the stream again"):
            Recorded(str(tmp_path / "s.npz"))


def test_a_flipped_bit_anywhere_is_found(tmp_path: Path) -> None:
    content = twin_streams.write(tmp_path / "s.npz").read_bytes()
    shown = [frame.image.tobytes() for frame in Recorded(str(tmp_path / "s.npz")).frames()]
    for place in range(0, len(content), 61):
        spoilt = bytearray(content)
        spoilt[place] ^= 4
        (tmp_path / "s.npz").write_bytes(spoilt)
        try:
            frames = [frame.image.tobytes() for frame in Recorded(str(tmp_path / "s.npz")).frames()]
        except SourceError:
            continue
        # Times and attributes of the archive's members say nothing.
        assert frames == shown


def test_more_than_a_board_can_hold_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devices.twins.MAX_TWINS_BYTES", 500)
    with pytest.raises(ValueError, match="unpacks to"):
        twin_streams.write(tmp_path / "s.npz")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"attack": ""}, "says nothing usable of how it was crafted: attack must be a text"),
        ({"seed": 1.5}, "says nothing usable of how it was crafted: seed must be a whole number or null"),
        ({"versions": {"torch": 2}}, "says nothing usable of how it was crafted: versions must be an object of texts"),
    ],
)
def test_a_story_that_nobody_can_use(tmp_path: Path, values: dict[str, Any], sentence: str) -> None:
    twin_streams.write(tmp_path / "s.npz", of=replace(twin_streams.crafting(), **values))
    with pytest.raises(SourceError, match=sentence):
        Recorded(str(tmp_path / "s.npz"))


def test_a_later_version_may_say_more_of_how_it_was_crafted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dumps = json.dumps
    monkeypatch.setattr("devices.twins.json.dumps", lambda value, **more: dumps({**value, "ray": "local"}, **more))
    twin_streams.write(tmp_path / "s.npz")
    assert Recorded(str(tmp_path / "s.npz")).crafting == twin_streams.crafting()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"floats": np.full((PAIRS, 4, 4, 3), np.nan, np.float32)}, "has floats outside"),
        ({"clean_scores": np.full((PAIRS, 5), np.inf, np.float32)}, "has clean_scores that are no finite numbers"),
        ({"tracks": np.full(PAIRS, -2)}, "has tracks below -1"),
    ],
)
def test_values_out_of_range_are_not_written(tmp_path: Path, values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        twin_streams.write(tmp_path / "s.npz", PAIRS, **values)
    assert not list(tmp_path.iterdir())
