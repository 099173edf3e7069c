"""Batches of single rendered frames of one size, for training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from devices.renderer.tracks import TrackRenderer
from devices.resize import resized_bilinear

_POSITION_STREAM = 4
_TRACKS = 2**40  # so many that a training set hardly ever meets the tracks 0, 1, 2, ... that a camera shows


def render_batch(count: int, seed: int, size: int = 32) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Independent frames at random positions of random tracks, and their labels.

    The frames are those of `TrackRenderer(seed)` at tracks drawn from 0 .. 2**40 - 1, resized as the packed images
    were: the whole picture, bilinear, without antialiasing. Labels are uniform over the 43 classes.

    Args:
        count: number of frames, not negative.
        seed: not negative; different seeds give different frames.
        size: pixels of each side, at least 1.

    Returns:
        Images uint8 (count, size, size, 3) RGB, and labels int64 (count,).
    """
    if count < 0 or size < 1:
        raise ValueError(
            f"cannot render {count} frames of {size} x {size} pixels: ask for 0 or more frames of at least 1 pixel"
        )
    renderer = TrackRenderer(seed)
    rng = np.random.default_rng((seed, _POSITION_STREAM))
    tracks = rng.integers(0, _TRACKS, count)
    frames = rng.integers(0, renderer.frames_per_track, count)
    images = np.empty((count, size, size, 3), dtype=np.uint8)
    labels = np.empty(count, dtype=np.int64)
    for position, (track, frame) in enumerate(zip(tracks.tolist(), frames.tolist(), strict=True)):
        rendered = renderer.frame(track, frame)
        images[position] = resized_bilinear(rendered.image, size)
        labels[position] = rendered.label
    return images, labels
