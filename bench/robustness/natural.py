"""Frames as weather and sensors would spoil them, at all five severities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from bench.corruptions import Corruption
from bench.registry import make
from bench.spec import SpecError, format_spec, parse_spec

SEVERITIES = (1, 2, 3, 4, 5)


def at_severities(text: str) -> Iterator[tuple[int, Corruption, str]]:
    """Every severity, the corruption that the spec `text` describes at it, and that one's own spec.

    Raises:
        PluginError: there is no such corruption.
        SpecError: the spec is wrong, has a severity already, or the corruption has none.
    """
    corruption, _ = make("corruptions", text)
    spec = parse_spec(text)
    if "severity" not in {field.name for field in fields(corruption)}:
        raise SpecError(f"{spec.name} has no severity to be shown at: choose gaussian or brightness")
    if spec.first is not None or "severity" in {key for key, _ in spec.options}:
        raise SpecError(f"{text} has a severity already: leave it out, all five are shown")
    for severity in SEVERITIES:
        severe = replace(corruption, severity=severity)
        yield severity, severe, format_spec(spec.name, severe)


def corrupted(frames: NDArray[np.uint8], corruption: Corruption, seed: int) -> NDArray[np.uint8]:
    """The 8-bit frames (n, 3, h, w) as they would have come; what is drawn for one depends on `seed` and its place."""
    return np.stack(
        [
            corruption.corrupt(frame.transpose(1, 2, 0), np.random.default_rng([seed, place])).transpose(2, 0, 1)
            for place, frame in enumerate(frames)
        ]
    )
