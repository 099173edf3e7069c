"""Small streams of twins, the same at every call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from devices.twins import Crafting, write_twins


def crafting(digest: str = "ab" * 32, task: str | None = "toy", **more: Any) -> Crafting:
    return Crafting("pgd:eps=8/255", "toy-gated", digest, "synthetic://gtsrb", 3, task, {"torch": "2.13.0"}, more)


def frames(pairs: int = 6, size: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clean and adversarial frames and labels; no two frames are alike."""
    generator = np.random.default_rng(seed)
    clean, adversarial = generator.integers(0, 256, (2, pairs, size, size, 3), np.uint8)
    return clean, adversarial, generator.integers(0, 5, pairs)


def write(path: Path, pairs: int = 6, size: int = 4, *, of: Crafting | None = None, **more: Any) -> Path:
    write_twins(path, *frames(pairs, size), of or crafting(), **more)
    return path
