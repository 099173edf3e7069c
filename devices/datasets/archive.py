"""A numpy archive (`.npz`) from outside: every header is checked before anything is decompressed."""

from __future__ import annotations

import math
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

MAX_BYTES = 2 * 2**30
MAX_ARRAYS = 64


class ArchiveError(ValueError):
    """An archive is not what it should be; the message is the reason alone, "is no numpy archive"."""


@dataclass(frozen=True, slots=True)
class ArrayHeader:
    """What an array in the archive says it is, and the `offset` in bytes at which its values begin."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    offset: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class Described(Protocol):
    """An array, or the header of one."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def nbytes(self) -> int: ...


class Archive:
    """An open archive without pickles, at most 2 GiB unpacked; `headers` says what is in it, by name.

    >>> with Archive(Path("stream.npz")) as archive:
    ...     labels = archive.read("labels")

    Raises:
        FileNotFoundError: there is no such file.
        ArchiveError: it is damaged, too large, or holds Python objects.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError):
            raise ArchiveError("is no numpy archive, or cut off") from None
        try:
            self.headers = self._checked_headers()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def read(self, name: str) -> NDArray[np.generic]:
        """The array whole.

        Raises:
            KeyError: the archive has no such array.
            ArchiveError: its bytes are damaged.
        """
        header = self.headers[name]
        with self._opened(name) as stream:
            values = _exactly(stream, header.nbytes, name)
        return np.frombuffer(values, header.dtype).reshape(header.shape)

    def rows(self, name: str) -> Iterator[NDArray[np.generic]]:
        """The array row by row, in the memory of one row.

        Raises:
            KeyError: the archive has no such array.
            ArchiveError: its bytes are damaged; the rows before have been given.
        """
        header = self.headers[name]
        size = math.prod(header.shape[1:]) * header.dtype.itemsize
        with self._opened(name) as stream:
            for _ in range(header.shape[0]):
                yield np.frombuffer(_exactly(stream, size, name), header.dtype).reshape(header.shape[1:])

    def _checked_headers(self) -> dict[str, ArrayHeader]:
        members = self._zip.infolist()
        if len(members) > MAX_ARRAYS:
            raise ArchiveError(f"holds {len(members)} arrays, more than {MAX_ARRAYS}")
        headers = {}
        for member in members:
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ArchiveError(f"packs {member.filename} in a way that numpy does not")
            with self._member(member.filename) as stream:
                header = _header(stream, member.filename)
            if header.offset + header.nbytes != member.file_size:
                raise ArchiveError(f"is damaged ({member.filename} is not as long as its header says)")
            headers[member.filename.removesuffix(".npy")] = header
        if (total := sum(header.nbytes for header in headers.values())) > MAX_BYTES:
            raise ArchiveError(f"unpacks to {total / 2**30:.1f} GiB, more than {MAX_BYTES // 2**30}")
        return headers

    def _opened(self, name: str) -> IO[bytes]:
        stream = self._member(f"{name}.npy")
        _exactly(stream, self.headers[name].offset, name)
        return stream

    def _member(self, filename: str) -> IO[bytes]:
        try:
            return self._zip.open(filename)
        # RuntimeError: it asks for a password, or for a decompressor that is not there.
        except (zipfile.BadZipFile, RuntimeError, OSError):
            raise ArchiveError(f"is damaged ({filename} cannot be unpacked)") from None


def write_archive(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an archive; whoever reads it meanwhile sees the old file or the whole new one.

    Raises:
        OSError: it cannot be written.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        # Temporary files begin as private ones.
        part.chmod(0o644)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _header(stream: IO[bytes], filename: str) -> ArrayHeader:
    try:
        version = npy.read_magic(stream)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read(stream)
    # The header is a Python literal: a hostile one makes the tokenizer raise, or recurse too deep.
    except Exception:
        raise ArchiveError(f"is damaged ({filename} is no numpy array)") from None
    if dtype.hasobject:
        raise ArchiveError(f"holds Python objects ({filename}), which are not read because they can run code")
    if fortran and len(shape) > 1:
        raise ArchiveError(f"stores {filename} column by column")
    if any(length < 0 for length in shape):
        raise ArchiveError(f"is damaged ({filename} has a negative length)")
    return ArrayHeader(shape, dtype, stream.tell())


def _exactly(stream: IO[bytes], size: int, name: str) -> bytearray:
    try:
        values = stream.read(size)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError):
        raise ArchiveError(f"is damaged inside {name}") from None
    if len(values) != size:
        raise ArchiveError(f"is cut off inside {name}")
    # A bytearray gives an array that can be written to, which torch asks for.
    return bytearray(values)
