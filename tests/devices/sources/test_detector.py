"""The sign detector against rendered street scenes, whose sign's place is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from street_scenes import HEIGHT, WIDTH, street_scene

from devices.components import boxes_of, find_runs
from devices.detector import SignDetector, find_sign, middle_square, with_margin
from devices.renderer.background import background_texture

# Black on white: nothing to see for a detector that goes by colour.
COLOURLESS = {6, 32, 41, 42}
Box = tuple[float, float, float, float]


def overlap(first: Box, second: Box) -> float:
    """Intersection over union."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return shared / (sum(areas) - shared)


@pytest.fixture(scope="module")
def found() -> dict[int, list[bool]]:
    """For two scenes of every class, whether the sign was found at IoU 0.5."""
    results: dict[int, list[bool]] = {}
    for label in range(43):
        for seed in range(2):
            scene = street_scene(label, seed)
            sighting = find_sign(scene.image)
            results.setdefault(label, []).append(sighting is not None and overlap(sighting.box, scene.roi) >= 0.5)
    return results


@pytest.mark.slow
def test_nine_of_ten_coloured_signs_are_found(found: dict[int, list[bool]]) -> None:
    coloured = [hit for label, hits in found.items() if label not in COLOURLESS for hit in hits]
    assert np.mean(coloured) >= 0.90
    assert np.mean([hit for hits in found.values() for hit in hits]) >= 0.82


@pytest.mark.slow
def test_every_coloured_sign_is_found_at_least_once(found: dict[int, list[bool]]) -> None:
    assert {label for label, hits in found.items() if not any(hits)} <= COLOURLESS


def test_a_sign_in_the_dark_is_as_red_as_one_in_the_sun() -> None:
    scene = street_scene(14, 0)
    bright = find_sign(scene.image)
    assert bright is not None
    # A sensor rounds: what is left of 255 levels is 64.
    dim = find_sign(scene.image // 4)
    assert dim is not None
    assert overlap(bright.box, dim.box) > 0.8


def test_streets_without_a_sign_seldom_show_one() -> None:
    textures = [background_texture(index).convert("RGB").resize((WIDTH, HEIGHT)) for index in range(0, 60, 3)]
    wrong = [find_sign(np.asarray(texture)) for texture in textures]
    assert sum(sighting is not None for sighting in wrong) <= len(wrong) // 3


def disc(x: int, y: int, radius: int = 30) -> np.ndarray:
    image = np.full((240, 320, 3), 120, np.uint8)
    rows, columns = np.mgrid[:240, :320]
    image[(columns - x) ** 2 + (rows - y) ** 2 <= radius**2] = (30, 60, 180)
    return image


def test_a_region_has_the_margin_of_the_training_images_and_stays_in_the_picture() -> None:
    assert SignDetector()(disc(100, 100)) == (64, 64, 137, 137)
    left, top, right, _ = SignDetector()(disc(33, 33))
    assert (left, top) == (0, 0)
    assert right > 64
    assert with_margin((-20.0, 230.0, 30.0, 250.0), 320, 240) == (0, 225, 35, 240)


def test_the_region_is_held_for_some_frames_and_then_the_middle_is_shown() -> None:
    detector = SignDetector(hold=2)
    empty = np.full((240, 320, 3), 120, np.uint8)
    seen = detector(disc(100, 100))
    assert [detector(empty) for _ in range(3)] == [seen, seen, middle_square(320, 240)]
    assert (detector.found, detector.held, detector.missed) == (1, 2, 1)
    assert detector.remarks() == [
        "no sign was found in 3 of 4 frames: 2 took the region of the frame before, 1 the middle of the picture"
    ]


def test_a_region_is_not_held_over_a_change_of_size() -> None:
    detector = SignDetector()
    detector(disc(250, 200))
    assert detector(np.zeros((100, 100, 3), np.uint8)) == (0, 0, 100, 100)


@settings(max_examples=60)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 50), st.integers(1, 50), st.just(3))))
def test_any_picture_has_a_region_inside_it(image: np.ndarray) -> None:
    left, top, right, bottom = SignDetector()(image)
    assert 0 <= left < right <= image.shape[1]
    assert 0 <= top < bottom <= image.shape[0]


@settings(max_examples=60)
@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 16), st.integers(1, 16))))
def test_components_are_those_of_scipy(mask: np.ndarray) -> None:
    runs = find_runs(mask)
    ours = np.zeros(mask.shape, int)
    for row, start, stop, component in zip(*runs, strict=True):
        ours[row, start:stop] = component + 1
    theirs, count = ndimage.label(mask, np.ones((3, 3)))
    assert np.array_equal(ours > 0, mask)
    pairs = set(zip(ours[mask].tolist(), theirs[mask].tolist(), strict=True))
    assert len(pairs) == count == ours.max(initial=0)
    boxes = boxes_of(runs)
    for ours_index, theirs_index in pairs:
        rows, columns = ndimage.find_objects(theirs)[theirs_index - 1]
        box = tuple(int(edges[ours_index - 1]) for edges in boxes)
        assert box == (columns.start, rows.start, columns.stop, rows.stop)
