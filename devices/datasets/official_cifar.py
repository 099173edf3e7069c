"""The official "python version" of CIFAR: pickles of bytes and arrays, read without running what is in them.

cifar-10-batches-py/data_batch_1 ... data_batch_5 and test_batch;  cifar-100-python/train and test
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# CIFAR-100's training file has 155 MB.
_MAX_BYTES = 400_000_000
_PIXELS = 3 * 32 * 32

_FILES = {
    ("cifar10", "train"): ("cifar-10-batches-py", *(f"data_batch_{index}" for index in range(1, 6))),
    ("cifar10", "test"): ("cifar-10-batches-py", "test_batch"),
    ("cifar100", "train"): ("cifar-100-python", "train"),
    ("cifar100", "test"): ("cifar-100-python", "test"),
}


def read_official(folder: Path, data_set: str, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64], Path]:
    """Images (n, 32, 32, 3), labels (n,), and where they lie.

    Raises:
        FileNotFoundError: `folder` holds no complete download.
        ValueError: a file is damaged, or is a pickle of something else.
    """
    name, *files = _FILES[data_set, split]
    for path in (folder / name, folder):
        if all((path / file).is_file() for file in files):
            parts = [_read_batch(path / file, b"labels" if data_set == "cifar10" else b"fine_labels") for file in files]
            return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]), path
    raise FileNotFoundError(f"{folder} holds no {name} with {', '.join(files)}")


def _read_batch(path: Path, labels_key: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"{path} is larger than any file of CIFAR: download it again")
    try:
        batch = _Unpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        pixels, labels = np.asarray(batch[b"data"]), np.asarray(batch[labels_key], np.int64)
    except OSError:
        raise
    # The bytes come from outside, and the interpreter of pickles raises whatever it stumbles over.
    except Exception as error:
        raise ValueError(f"{path} is no batch of CIFAR ({type(error).__name__}): download it again") from None
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), _PIXELS):
        raise ValueError(f"{path} is damaged: its images and labels do not fit together; download it again")
    return np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels


class _Unpickler(pickle.Unpickler):
    """Makes arrays of numbers and nothing else: a pickle may otherwise call any function there is."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        # The module moved with numpy 2; the function is the same.
        if (module, name) in (("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")):
            return np.empty(0).__reduce__()[0]
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a data file")
