"""The frames of a source beside corrupted versions of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from bench.corruptions import Corruption
from devices.sources.base import Frame, Source


@dataclass(frozen=True, slots=True)
class Corrupted:
    """Every frame of a source twice, as it is and corrupted, in an order that alternates.

    What is drawn for a frame depends on `seed` and its number alone.
    """

    source: Source
    corruption: Corruption
    seed: int = 0

    @property
    def task(self) -> str | None:
        return self.source.task

    @property
    def length(self) -> int | None:
        return None if self.source.length is None else 2 * self.source.length

    def frames(self) -> Iterator[Frame]:
        for pair, frame in enumerate(self.source.frames()):
            image = self.corruption.corrupt(frame.image, np.random.default_rng([self.seed, pair]))
            twins = [
                replace(frame, name=f"{frame.name} clean", twin="clean", pair=pair),
                replace(frame, name=f"{frame.name} corrupted", twin="corrupted", pair=pair, image=image),
            ]
            yield from twins if pair % 2 == 0 else twins[::-1]

    def remarks(self) -> list[str]:
        remarks: list[str] = getattr(self.source, "remarks", list)()
        return remarks

    def close(self) -> None:
        self.source.close()
