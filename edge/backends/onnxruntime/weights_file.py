"""The weights of a cached network as one file, read by several cores at once, beside whatever else is to be done."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backends.onnxruntime.memory import ALIGNMENT_BYTES, aligned
from edge.cores import usable_cores

# Each part has a sum of its own, so that parts can be read side by side.
PART_BYTES = 2**22
# Read and summed up in chunks that stay in the processor's own cache.
_CHUNK_BYTES = 2**19
# Beyond this, memory is what limits.
_MOST_READERS = 4


@dataclass(frozen=True, slots=True)
class Contents:
    """Where each array starts in the file, at multiples of 64 bytes as the kernels want them; how long the file is;
    and the CRC-32 of each of its parts."""

    offsets: list[int]
    size_bytes: int
    crc32: list[int]


def write_weights(file: Path, arrays: Iterable[NDArray[Any]]) -> Contents:
    """Write C-contiguous arrays one behind the other.

    Raises:
        OSError: the file cannot be written.
    """
    offsets, sums = [], _Sums()
    with open(file, "wb") as stream:
        for array in arrays:
            offsets.append(sums.size_bytes)
            for part in (array.reshape(-1).view(np.uint8).data, memoryview(bytes(-array.nbytes % ALIGNMENT_BYTES))):
                stream.write(part)
                sums.add(part)
    return Contents(offsets, sums.size_bytes, sums.crc32)


class _Sums:
    """The CRC-32 of each part of what passes by, the last one of what there is of it."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.crc32: list[int] = []

    def add(self, data: memoryview) -> None:
        while data:
            inside = self.size_bytes % PART_BYTES
            if not inside:
                self.crc32.append(0)
            taken = data[: PART_BYTES - inside]
            self.crc32[-1] = zlib.crc32(taken, self.crc32[-1])
            self.size_bytes += len(taken)
            data = data[len(taken) :]


@dataclass(frozen=True, slots=True)
class Reading:
    """Memory that a file is being read into, while sessions are already made on it."""

    memory: NDArray[np.uint8]
    _parts: Sequence[Future[bool]]

    def sound(self) -> bool:
        """Wait until all of it is there, and say whether it is what was written."""
        # Whatever a read raises, the file is of no use.
        return all(part.exception() is None and part.result() for part in self._parts)


def start_reading(file: Path, size_bytes: int, crc32: list[int]) -> Reading | None:
    """Begin to read the file, or None if it is not as long as what was written.

    Raises:
        OSError: there is no such file.
    """
    if file.stat().st_size != size_bytes or len(crc32) != -(-size_bytes // PART_BYTES):
        return None
    # Read, not mapped: the bytes that were checked stay the bytes that are used, and no frame waits for the disk.
    memory = aligned((size_bytes,), np.uint8)

    def sound(part: int) -> bool:
        start = part * PART_BYTES
        return _read_part(file, start, memory.data[start : start + PART_BYTES]) == crc32[part]

    readers = ThreadPoolExecutor(min(_MOST_READERS, usable_cores()))
    parts = [readers.submit(sound, part) for part in range(len(crc32))]
    readers.shutdown(wait=False)
    return Reading(memory, parts)


def _read_part(file: Path, start: int, into: memoryview) -> int | None:
    """The CRC-32 of a part, which is then in memory; None where the file ends too early."""
    found = 0
    with open(file, "rb", buffering=0) as stream:
        stream.seek(start)
        for offset in range(0, len(into), _CHUNK_BYTES):
            chunk = into[offset : offset + _CHUNK_BYTES]
            if stream.readinto(chunk) != len(chunk):
                return None
            # Damage is looked for, not an attacker, who could write the sums too: SHA-256 would take twice as long.
            found = zlib.crc32(chunk, found)
    return found
