"""A packed CIFAR-10 of noise."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def write_noise(folder: Path, train: int = 40, test: int = 12) -> Path:
    """Write so many images for training and for testing; returns the folder."""
    for name, count in (("train", train), ("test-public", test)):
        tiles = np.random.default_rng(count).integers(0, 256, (count * 32, 32, 3), dtype=np.uint8)
        encoded = io.BytesIO()
        Image.fromarray(tiles).save(encoded, "WEBP", lossless=True, exact=True)
        np.savez(
            folder / f"cifar10-{name}.npz",
            img_bytes=np.frombuffer(encoded.getvalue(), np.uint8),
            img_offsets=np.array([0, len(encoded.getvalue())]),
            n=np.int64(count),
            y=(np.arange(count) % 10).astype(np.uint8),
        )
    return folder
