"""Tracks: a car drives towards a sign, and one frame follows the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from devices.renderer.approach import Approach, drawn_approach
from devices.renderer.scene import photograph
from devices.renderer.signs import SIGNS

# Every stream of randomness has its own key behind (seed, track), so that none depends on another's length.
_LABEL_STREAM, _APPROACH_STREAM, _NOISE_STREAM = 1, 2, 3


@dataclass(frozen=True, slots=True)
class RenderedFrame:
    """One picture of a track.

    image: uint8 (height, width, 3) RGB; label: GTSRB class 0..42; track and frame: counted from 0;
    roi: the sign's box x1, y1, x2, y2 in picture pixels, x2 and y2 exclusive.
    """

    image: NDArray[np.uint8]
    label: int
    track: int
    frame: int
    roi: tuple[int, int, int, int]


class TrackRenderer:
    """Renders tracks of traffic signs; every frame depends on (seed, track, frame) only.

    Args:
        seed: not negative.
        frames_per_track: at least 1.
        min_size: smallest picture side in pixels, at least 12.
        max_size: largest picture side in pixels, at least twice `min_size`.

    >>> TrackRenderer(seed=7).frame(track=3, frame=29).image.shape[2]
    3
    """

    def __init__(self, seed: int = 0, frames_per_track: int = 30, min_size: int = 16, max_size: int = 120) -> None:
        if seed < 0:
            raise ValueError(f"the renderer's seed must not be negative, and {seed} is")
        if frames_per_track < 1:
            raise ValueError(f"a track has at least 1 frame, not {frames_per_track}")
        if min_size < 12 or max_size < 2 * min_size:
            raise ValueError(
                f"pictures of {min_size} to {max_size} pixels cannot be rendered: the smallest side is at least 12 and "
                "the largest at least twice the smallest"
            )
        self.seed = seed
        self.frames_per_track = frames_per_track
        self.min_size = min_size
        self.max_size = max_size

    def label(self, track: int) -> int:
        """The class of a track: a permutation of all 43 for every 43 tracks."""
        self._check(track, 0)
        block, position = divmod(track, len(SIGNS))
        return _label_order(self.seed, block)[position]

    def frame(self, track: int, frame: int) -> RenderedFrame:
        """Render one frame; `track` is not negative, `frame` in [0, frames_per_track).

        Raises:
            ValueError: track or frame out of range.
        """
        self._check(track, frame)
        label = self.label(track)
        scene = self._approach(track, label).scene_at(frame / max(1, self.frames_per_track - 1))
        noise = np.random.default_rng((self.seed, track, _NOISE_STREAM, frame))
        return RenderedFrame(photograph(scene, noise), label, track, frame, scene.framing.roi)

    def track(self, track: int) -> list[RenderedFrame]:
        """Render all frames of one track, farthest first."""
        return [self.frame(track, frame) for frame in range(self.frames_per_track)]

    def _approach(self, track: int, label: int) -> Approach:
        rng = np.random.default_rng((self.seed, track, _APPROACH_STREAM))
        return drawn_approach(label, self.min_size, self.max_size, rng)

    def _check(self, track: int, frame: int) -> None:
        if track < 0:
            raise ValueError(f"tracks are counted from 0, and {track} is below")
        if not 0 <= frame < self.frames_per_track:
            raise ValueError(f"there is no frame {frame}: frames of a track run from 0 to {self.frames_per_track - 1}")


@lru_cache(maxsize=1024)
def _label_order(seed: int, block: int) -> tuple[int, ...]:
    order = np.random.default_rng((seed, block, _LABEL_STREAM)).permutation(len(SIGNS))
    return tuple(order.tolist())
