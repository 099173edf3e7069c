"""A recorded stream: a clip (`devices/recording.py`), or the frames of an attack in one numpy archive.

In the archive, `images` (n, height, width, 3) uint8 RGB and `schema` (1); `labels` and `tracks` (n,) integers, -1 where
there is none, and `task`, the data set whose classes the labels are, may be missing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from devices.datasets.archive import MAX_BYTES, Archive, ArchiveError
from devices.recording import INDEX, RecordingError, read_clip
from devices.sources.base import Frame, SourceError
from devices.sources.images import ImageError
from devices.sources.location import existing_file, existing_folder

SCHEMA = 1
MAX_TASK_LETTERS = 64


@dataclass
class Recorded:
    """`recorded://clip` or `recorded://stream.npz`: the frames of a recorded stream, in order, unpacked one at a time.

    A clip is replayed at the times at which its frames were taken, as far as whoever takes them keeps to `offset_ns`;
    with `pace=none`, and from an archive, which has no times, frames come as fast as they are asked for.

    Raises:
        SourceError: there is none, it is damaged, unpacks to more than 2 GiB, or is no recorded stream.
    """

    location: str = field(metadata={"help": "the folder of a clip, or an .npz file", "example": "attack.npz"})
    pace: Literal["recorded", "none"] = field(
        default="recorded", metadata={"help": "when a clip's frames come: as recorded, or at once", "example": "none"}
    )

    def __post_init__(self) -> None:
        is_folder = (
            bool(self.location) and "\0" not in self.location and os.path.isdir(os.path.expanduser(self.location))
        )
        self._stream = _Clip(self.location) if is_folder else _Archive(self.location)
        self._times_ns = self._stream.times_ns if self.pace == "recorded" else None

    @property
    def task(self) -> str | None:
        return self._stream.task

    @property
    def length(self) -> int:
        return self._stream.length

    @property
    def live(self) -> bool:
        """Whether the frames have times that are to be kept."""
        return self._times_ns is not None

    @property
    def offset_ns(self) -> Callable[[int], int] | None:
        """When frame `index` is due, in nanoseconds after the first; None without times."""
        return None if self._times_ns is None else self._times_ns.__getitem__

    def frames(self) -> Iterator[Frame]:
        return self._stream.frames()

    def close(self) -> None:
        """Nothing is held open outside `frames`."""


class _Clip:
    def __init__(self, location: str) -> None:
        folder = existing_folder(location, "recorded://clip")
        try:
            self._clip = read_clip(folder)
        except FileNotFoundError:
            raise SourceError(
                f"{folder} is no clip, since it holds no {INDEX}: read the images of a folder with dir://{location}"
            ) from None
        except (RecordingError, OSError) as error:
            raise SourceError(f"{folder} {_reason(error)}: record it again") from None
        self.task, self.length = self._clip.task, len(self._clip.frames)
        self.times_ns = self._clip.times_ns()

    def frames(self) -> Iterator[Frame]:
        for index, kept in enumerate(self._clip.frames):
            try:
                image = self._clip.picture(index)
            except ImageError as error:
                raise SourceError(
                    f"{self._clip.folder} broke off after {_counted(index)}: the next {error}; record it again"
                ) from None
            yield Frame(image, kept.name, kept.label, kept.track, kept.roi)


class _Archive:
    times_ns = None

    def __init__(self, location: str) -> None:
        self._path = existing_file(location, "recorded://attack.npz")
        try:
            with Archive(self._path) as archive:
                _check(archive.headers)
                if (schema := int(archive.read("schema"))) != SCHEMA:
                    raise ArchiveError(f"has schema {schema}, and this version of edgebench reads {SCHEMA}")
                self.length = archive.headers["images"].shape[0]
                self._labels = _numbers(archive, "labels", self.length)
                self._tracks = _numbers(archive, "tracks", self.length)
                self.task = (str(archive.read("task")) if "task" in archive.headers else "") or None
        except (ArchiveError, OSError) as error:
            raise SourceError(f"{self._path} {_reason(error)}: record the stream again") from None

    def frames(self) -> Iterator[Frame]:
        given = 0
        try:
            with Archive(self._path) as archive:
                for image, label, track in zip(archive.rows("images"), self._labels, self._tracks, strict=True):
                    yield Frame(image.view(np.uint8), f"frame {given}", label, track)
                    given += 1
        except (ArchiveError, OSError) as error:
            raise SourceError(
                f"{self._path} broke off after {_counted(given)}: it {_reason(error)}; record it again"
            ) from None


def write_recorded(
    path: Path,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]] | None = None,
    tracks: NDArray[np.integer[Any]] | None = None,
    task: str | None = None,
) -> None:
    """Write a recorded stream; whoever reads it meanwhile sees the old file or the whole new one.

    Args:
        path: the file, overwritten if it exists.
        images: (n, height, width, 3) uint8 RGB, at least one, at most 2 GiB.
        labels: (n,) class indices of `task`, -1 where unknown.
        tracks: (n,) track numbers, -1 where there is none.
        task: the data set whose classes the labels are, "gtsrb".

    Raises:
        ValueError: the arrays are no stream.
        SourceError: the file cannot be written.
    """
    none = np.full(len(images), -1, np.int64)
    arrays: dict[str, NDArray[Any]] = {
        "schema": np.array(SCHEMA),
        "images": np.ascontiguousarray(images),
        "labels": none if labels is None else labels,
        "tracks": none if tracks is None else tracks,
        "task": np.array(task or ""),
    }
    try:
        _check(arrays)
    except ArchiveError as error:
        raise ValueError(f"{path} is not written, because it {error}") from None
    try:
        _write_whole(path, arrays)
    except OSError as error:
        raise SourceError(f"{path} cannot be written ({error.strerror}): choose another place") from None


class _Described(Protocol):
    """An array, or the header of one."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def nbytes(self) -> int: ...


def _check(arrays: Mapping[str, _Described]) -> None:
    """Refuse what is no stream, from names, shapes and types alone."""
    for name in ("schema", "images"):
        if name not in arrays:
            raise ArchiveError(f"is no recorded stream, because it has no array {name!r}")
    images = arrays["images"]
    if images.dtype != np.uint8 or len(images.shape) != 4 or images.shape[3] != 3 or 0 in images.shape:
        raise ArchiveError(f"has images {images.shape} {images.dtype} instead of (n, height, width, 3) uint8")
    if images.nbytes > MAX_BYTES:
        raise ArchiveError(f"has {images.nbytes / 2**30:.1f} GiB of images, more than {MAX_BYTES // 2**30}")
    for name in ("labels", "tracks"):
        column = arrays.get(name)
        if column is not None and (column.dtype.kind not in "iu" or column.shape != images.shape[:1]):
            raise ArchiveError(f"has {name} {column.shape} {column.dtype} instead of one integer for each image")
    if arrays["schema"].shape or arrays["schema"].dtype.kind not in "iu":
        raise ArchiveError("has a schema that is not an integer")
    task = arrays.get("task")
    if task is not None and (task.shape or task.dtype.kind != "U" or task.nbytes > 4 * MAX_TASK_LETTERS):
        raise ArchiveError(f"has a task that is not a word of up to {MAX_TASK_LETTERS} letters")


def _counted(frames: int) -> str:
    return f"{frames} frame{'s' * (frames != 1)}"


def _reason(error: ArchiveError | RecordingError | OSError) -> str:
    return f"cannot be read ({error.strerror})" if isinstance(error, OSError) else str(error)


def _numbers(archive: Archive, name: str, length: int) -> list[int | None]:
    if name not in archive.headers:
        return [None] * length
    return [int(number) if number >= 0 else None for number in archive.read(name)]


def _write_whole(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
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
