"""What the harness asks of a source of frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Twin = Literal["clean", "adversarial", "floats", "corrupted"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture as a camera delivers it.

    `image` is (height, width, 3) uint8 RGB; `name` says where it comes from (a file name, "track 3 frame 12");
    `label` is the class index where the source knows it; `roi` is x1, y1, x2, y2 of the sign in pixels where known.
    `captured_ns` is CLOCK_MONOTONIC (`time.monotonic_ns`) when the sensor or its driver says that it was taken.

    Where frames are shown beside attacked or corrupted versions of themselves, `pair` is the number that they share
    and `twin` says which version this is; `exact`, (height, width, 3) float32 in [0, 1], is what the network is to see
    instead of `image`: what was crafted, before any camera rounds it.
    """

    image: NDArray[np.uint8]
    name: str
    label: int | None = None
    track: int | None = None
    roi: tuple[int, int, int, int] | None = None
    captured_ns: int | None = None
    twin: Twin | None = None
    pair: int | None = None
    exact: NDArray[np.float32] | None = None


class SourceError(Exception):
    """A source cannot be opened, or broke off: one sentence that says what and what to do."""


class Source(Protocol):
    """A stream of frames.

    A source is a dataclass of its options whose first field is the location, the part behind `scheme://`.  It may have

    - `remarks() -> list[str]`: what a user should know after the run, such as files that were skipped;
    - `live: bool`: its frames come in real time, whether anybody takes them or not (see `is_live`);
    - `offset_ns(index) -> int`: when frame `index` is due, counted from the first, where the frames have a schedule.
    """

    @property
    def task(self) -> str | None:
        """The data set whose classes the labels are ("gtsrb"), or None without labels."""

    @property
    def length(self) -> int | None:
        """How many frames there are, or None for a source without an end."""

    def frames(self) -> Iterator[Frame]:
        """The frames, in order; raises SourceError in the middle where the stream breaks off."""

    def close(self) -> None:
        """Release the device or file."""


def is_live(source: Source) -> bool:
    """Whether the source's frames come in real time, as a camera's do; a source that does not say is not."""
    return bool(getattr(source, "live", False))
