"""The traffic-sign renderer: what is drawn, that it depends on its keys only, and that signs can be told apart."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from devices import renderer
from devices.renderer import (
    CLASS_NAMES,
    RenderedFrame,
    TrackRenderer,
    contact_sheet,
    draw_sign,
    render_batch,
    track_sheet,
)
from devices.resize import resized_bilinear


def same(first: RenderedFrame, second: RenderedFrame) -> bool:
    """Whether two frames agree in every field and every pixel."""
    fields = (first.label, first.track, first.frame, first.roi) == (
        second.label,
        second.track,
        second.frame,
        second.roi,
    )
    return fields and np.array_equal(first.image, second.image)


def test_public_names() -> None:
    assert sorted(renderer.__all__) == [
        "CLASS_NAMES",
        "RenderedFrame",
        "TrackRenderer",
        "contact_sheet",
        "draw_sign",
        "render_batch",
        "track_sheet",
    ]


def test_43_different_lower_case_names() -> None:
    assert len(CLASS_NAMES) == len(set(CLASS_NAMES)) == 43
    assert all(name == name.lower() for name in CLASS_NAMES)
    assert CLASS_NAMES[0] == "speed limit 20"
    assert CLASS_NAMES[14] == "stop"
    assert CLASS_NAMES[42] == "end of no passing over 3.5 t"


@pytest.mark.parametrize("class_id", range(43), ids=CLASS_NAMES)
def test_sign_is_rgba_on_a_transparent_ground(class_id: int) -> None:
    pixels = draw_sign(class_id, 64)
    assert pixels.shape == (64, 64, 4)
    assert pixels.dtype == np.uint8
    assert not pixels.flags.writeable
    alpha = pixels[..., 3]
    assert alpha[32, 32] == 255
    assert not alpha[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert 0.4 < np.mean(alpha > 127) < 0.9


def test_all_signs_differ_at_32_pixels() -> None:
    """The closest pairs (50 and 60, 30 and 80) still differ by a stroke: some pixels by a third of the range."""
    signs = [draw_sign(class_id, 32).astype(np.int16) for class_id in range(43)]
    for first, second in combinations(range(43), 2):
        contrast = np.abs(signs[first] - signs[second]).max(axis=2)
        assert np.count_nonzero(contrast > 80) >= 8, (CLASS_NAMES[first], CLASS_NAMES[second])


@pytest.mark.parametrize(("right", "left"), [(33, 34), (36, 37), (38, 39), (20, 19)])
def test_mirrored_signs_are_mirrored(right: int, left: int) -> None:
    difference = draw_sign(right, 64).astype(int) - draw_sign(left, 64)[:, ::-1]
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize("class_id", [-1, 43])
def test_unknown_class(class_id: int) -> None:
    with pytest.raises(ValueError, match=f"no traffic sign of class {class_id}: GTSRB classes run from 0 to 42"):
        draw_sign(class_id)


def test_a_sign_too_small() -> None:
    with pytest.raises(ValueError, match="smallest size is 8"):
        draw_sign(3, 7)


def test_a_frame_depends_on_its_keys_only() -> None:
    keys = [(0, 0), (5, 29), (44, 3), (5, 10), (2**40 - 1, 7)]
    forwards = {key: TrackRenderer(seed=3).frame(*key) for key in keys}
    backwards = TrackRenderer(seed=3)
    for key in reversed(keys):
        assert same(backwards.frame(*key), forwards[key])
        assert same(backwards.frame(*key), forwards[key])


def test_a_track_is_its_frames() -> None:
    source = TrackRenderer(seed=1, frames_per_track=4)
    track = source.track(9)
    assert [frame.frame for frame in track] == [0, 1, 2, 3]
    assert all(same(source.frame(9, frame.frame), frame) for frame in track)


def test_seeds_and_tracks_differ() -> None:
    images, _ = render_batch(4, seed=0)
    others, _ = render_batch(4, seed=1)
    assert not any(np.array_equal(one, other) for one, other in zip(images, others, strict=True))
    assert TrackRenderer(0).label(0) != TrackRenderer(0).label(1)
    orders = [[TrackRenderer(seed).label(track) for track in range(43)] for seed in (0, 1)]
    assert orders[0] != orders[1]


def test_every_43_tracks_show_every_class() -> None:
    source = TrackRenderer(seed=12)
    blocks = [[source.label(track) for track in range(43 * block, 43 * (block + 1))] for block in range(3)]
    assert all(sorted(block) == list(range(43)) for block in blocks)
    assert blocks[0] != blocks[1]


@pytest.mark.parametrize("limits", [(16, 120), (12, 24), (30, 200)])
def test_pictures_and_boxes_keep_their_limits(limits: tuple[int, int]) -> None:
    smallest, largest = limits
    source = TrackRenderer(seed=4, frames_per_track=3, min_size=smallest, max_size=largest)
    for track in range(10):
        for frame in source.track(track):
            height, width, channels = frame.image.shape
            assert frame.image.dtype == np.uint8
            assert channels == 3
            assert smallest <= min(height, width) <= max(height, width) <= largest
            x1, y1, x2, y2 = frame.roi
            assert 0 < x1 < x2 < width
            assert 0 < y1 < y2 < height
            assert max((x2 - x1) / width, (y2 - y1) / height) > 0.6


def test_the_sign_grows_and_moves_smoothly() -> None:
    for track in range(4):
        frames = TrackRenderer(seed=2).track(track)
        sizes = [max(frame.image.shape) for frame in frames]
        assert all(later >= sooner - 1 for sooner, later in pairwise(sizes))
        assert 16 <= sizes[0] <= 26
        assert 48 <= sizes[-1] <= 120
        brightness = [float(frame.image.mean()) for frame in frames]
        assert np.abs(np.diff(brightness)).max() < 12


def test_noise_is_fresh_in_each_frame() -> None:
    """Two frames so close in time that the scene stands still differ by noise alone: a little, but everywhere."""
    source = TrackRenderer(seed=0, frames_per_track=100_000)
    first, second = source.frame(1, 50_000).image.astype(int), source.frame(1, 50_001).image.astype(int)
    difference = np.abs(first - second)
    assert np.mean(difference > 0) > 0.3
    assert difference.mean() < 8


def test_the_roi_holds_the_sign() -> None:
    """Inside its box a blue disc is bluer than a red-bordered plate, whatever the light."""
    source = TrackRenderer(seed=6, frames_per_track=2)
    blueness: dict[bool, list[float]] = {True: [], False: []}
    for track in range(86):
        label = source.label(track)
        if label in (14, 17) or 33 <= label <= 40:
            frame = source.frame(track, 1)
            x1, y1, x2, y2 = frame.roi
            colour = frame.image[y1:y2, x1:x2].reshape(-1, 3).mean(axis=0)
            blueness[label >= 33].append(float((colour[2] - colour[0]) / colour.sum()))
    assert min(blueness[True]) > max(blueness[False])


def test_batch_shapes_and_labels() -> None:
    images, labels = render_batch(129, seed=5)
    assert images.shape == (129, 32, 32, 3)
    assert images.dtype == np.uint8
    assert labels.shape == (129,)
    assert labels.dtype == np.int64
    assert 0 <= labels.min() < labels.max() <= 42
    assert len(set(labels.tolist())) > 35
    again, labels_again = render_batch(129, seed=5)
    assert np.array_equal(images, again)
    assert np.array_equal(labels, labels_again)
    assert images.reshape(129, -1).std(axis=1).min() > 3, "a frame is empty"
    assert render_batch(2, seed=5, size=48)[0].shape == (2, 48, 48, 3)
    assert render_batch(0, seed=5)[0].shape == (0, 32, 32, 3)


def test_batch_resize_is_plain_bilinear() -> None:
    """Against numpy's own interpolation at half-pixel centres, one axis after the other."""
    source = np.random.default_rng(0).integers(0, 256, (45, 21)).astype(np.uint8)
    rows = (np.arange(32) + 0.5) * 45 / 32 - 0.5
    columns = (np.arange(32) + 0.5) * 21 / 32 - 0.5
    tall = np.stack([np.interp(rows, np.arange(45), source[:, x]) for x in range(21)], axis=1)
    expected = np.stack([np.interp(columns, np.arange(21), tall[y]) for y in range(32)])
    resized = resized_bilinear(np.repeat(source[..., None], 3, axis=2), 32)
    assert np.abs(resized - expected[..., None]).max() <= 0.51


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: TrackRenderer(seed=-1), "must not be negative"),
        (lambda: TrackRenderer(frames_per_track=0), "at least 1 frame"),
        (lambda: TrackRenderer(min_size=30, max_size=40), "at least twice the smallest"),
        (lambda: TrackRenderer().frame(0, 30), "run from 0 to 29"),
        (lambda: TrackRenderer().frame(-1, 0), "counted from 0"),
        (lambda: render_batch(-1, seed=0), "0 or more frames"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(call: object, sentence: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=sentence):
        call()


def test_sheets() -> None:
    assert contact_sheet(40).mode == "RGB"
    assert track_sheet(seed=0, tracks=2, size=24).size == (240, 48)
