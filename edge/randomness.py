"""Where the gates' randomness comes from: unpredictable by default, repeatable when asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.network import Route

_DRAWN_AT_ONCE = 8192


class ProbabilityError(ValueError):
    """A keep-probability is not a number in [0, 1]: one sentence."""


class GateRandom:
    """Draws routes from keep-probabilities.

    Without a seed, the key of the counter-based generator (Philox 4x64, Salmon et al. 2011) is 128 bits of the
    operating system's entropy: who knows weights and code still does not know the draw.  With a seed the draws repeat;
    those of another `stream` of the same seed are independent of them.
    """

    def __init__(self, seed: int | None = None, stream: int = 0) -> None:
        # SeedSequence without entropy asks the operating system for 128 bits of it.
        self._sequence = np.random.SeedSequence(seed, spawn_key=(stream,) if stream else ())
        self._seeded = seed is not None
        self._uniforms: list[float] = []
        self._generator = np.random.Generator(np.random.Philox(self._sequence))

    def restart(self) -> None:
        """Begin again with the first draw of the seed; without a seed nothing is ever drawn twice."""
        if self._seeded:
            self._generator = np.random.Generator(np.random.Philox(self._sequence))
            self._uniforms = []

    def uniforms(self, count: int) -> NDArray[np.float32]:
        """Numbers (count,) in [0, 1) for gates that are drawn elsewhere: those that `route` would have used."""
        drawn = np.array(self._taken(count), np.float32)
        # Rounding may not make one of them 1, which would drop a gate that is always kept.
        below_1: NDArray[np.float32] = np.minimum(drawn, np.nextafter(np.float32(1), np.float32(0)))
        return below_1

    def route(self, keep: Sequence[float]) -> Route:
        """One route, gate i open with probability keep[i].

        Raises:
            ProbabilityError: a probability is not a number in [0, 1].
        """
        drawn = self._taken(len(keep))
        bits: list[str] = []
        for probability, uniform in zip(keep, drawn, strict=True):
            if not 0.0 <= probability <= 1.0:
                raise ProbabilityError(f"keep-probability {probability} of gate {len(bits)} is not in [0, 1]")
            bits.append("1" if uniform < probability else "0")
        return "".join(bits)

    def _taken(self, count: int) -> list[float]:
        if len(self._uniforms) < count:
            # In one piece, since drawing a few numbers at a time costs microseconds of every frame.
            self._uniforms = self._generator.random(max(_DRAWN_AT_ONCE, count)).tolist()
        drawn = self._uniforms[-count:] if count else []
        del self._uniforms[len(self._uniforms) - count :]
        return drawn
