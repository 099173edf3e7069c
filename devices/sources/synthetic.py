"""Rendered traffic signs as a source: a car approaches one sign after the other, without an end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from devices.renderer import TrackRenderer
from devices.sources.base import Frame, SourceError


@dataclass
class Synthetic:
    """`synthetic://gtsrb`: the 43 classes of GTSRB drawn by our own renderer, a function of the seed alone.

    Raises:
        SourceError: an option is out of range.
    """

    location: str = field(metadata={"help": "whose classes are drawn: gtsrb", "example": "gtsrb"})
    seed: int = field(default=0, metadata={"help": "which stream, 0 or more", "example": "7"})
    tracks: int = field(default=0, metadata={"help": "how many tracks of 30 frames; 0: endless", "example": "10"})

    def __post_init__(self) -> None:
        if self.location != "gtsrb":
            raise SourceError(f"nothing is rendered for {self.location!r}: choose gtsrb, as in synthetic://gtsrb")
        for name in ("seed", "tracks"):
            value = getattr(self, name)
            if value < 0:
                raise SourceError(
                    f"{name}={value} of synthetic://gtsrb is out of range: choose 0 or more, for example {name}=7"
                )
        self._renderer = TrackRenderer(self.seed)

    @property
    def task(self) -> str:
        return "gtsrb"

    @property
    def length(self) -> int | None:
        return self.tracks * self._renderer.frames_per_track or None

    def frames(self) -> Iterator[Frame]:
        for track in range(self.tracks) if self.tracks else itertools.count():
            for index in range(self._renderer.frames_per_track):
                seen = self._renderer.frame(track, index)
                yield Frame(seen.image, f"track {track} frame {index}", seen.label, track, seen.roi)

    def close(self) -> None:
        """Nothing is held open."""
