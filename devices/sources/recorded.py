"""A recorded stream: a clip (`devices/recording.py`), or frames in a numpy archive, with adversarial twins or not.

In an archive without twins (`devices/twins.py` has the others), `images` (n, height, width, 3) uint8 RGB and `schema`
(1); `labels` and `tracks` (n,) integers, -1 where there is none, and `task`, the data set whose classes the labels are,
may be missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from devices.datasets.archive import MAX_BYTES, Archive, ArchiveError, Described, write_archive
from devices.interleaving import attacked, turns
from devices.recording import INDEX, RecordingError, read_clip
from devices.sources.base import Frame, SourceError, Twin
from devices.sources.images import ImageError
from devices.sources.location import existing_file, existing_folder
from devices.twins import Crafting, TwinStream, read_twins

SCHEMA = 1
MAX_TASK_LETTERS = 64


@dataclass
class Recorded:
    """`recorded://clip` or `recorded://stream.npz`: the frames of a recorded stream, in order, unpacked one at a time.

    A clip is replayed at the times at which its frames were taken, as far as whoever takes them keeps to `offset_ns`;
    with `pace=none`, and from an archive, which has no times, frames come as fast as they are asked for.

    A stream of twins is unpacked whole and shows both of each pair, clean and adversarial in turn, and the adversarial
    one before it was rounded where the file holds it.  With `share`, one of each pair is shown, in order.

    Raises:
        SourceError: there is none, it is damaged, unpacks to more than 2 GiB, or is no recorded stream.
        ValueError: an option is out of its range, or means nothing without twins.
    """

    location: str = field(metadata={"help": "the folder of a clip, or an .npz file", "example": "attack.npz"})
    pace: Literal["recorded", "none"] = field(
        default="recorded", metadata={"help": "when a clip's frames come: as recorded, or at once", "example": "none"}
    )
    share: float | None = field(
        default=None, metadata={"help": "share of frames that are attacked, instead of both twins", "example": "0.1"}
    )
    bursts: int | None = field(
        default=None, metadata={"help": "how many attacked frames come in a row", "example": "10"}
    )
    seed: int = field(default=0, metadata={"help": "which frames are attacked", "example": "7"})
    block: int = field(
        default=1, metadata={"help": "pairs shown in one version before the other's turn", "example": "200"}
    )
    floats: bool = field(
        default=True, metadata={"help": "show them before rounding too, where the file has that", "example": "false"}
    )

    def __post_init__(self) -> None:
        is_folder = (
            bool(self.location) and "\0" not in self.location and os.path.isdir(os.path.expanduser(self.location))
        )
        self._stream = _Clip(self.location) if is_folder else _archived(self)
        if not isinstance(self._stream, _Twins) and (self.share, self.bursts, self.block) != (None, None, 1):
            raise ValueError(
                f"{self.location} holds no adversarial twins, so share, bursts and block mean nothing: leave them out"
            )
        self._times_ns = self._stream.times_ns if self.pace == "recorded" else None

    @property
    def task(self) -> str | None:
        return self._stream.task

    @property
    def length(self) -> int:
        return self._stream.length

    @property
    def crafting(self) -> Crafting | None:
        """How the adversarial frames were made; None in a stream without twins."""
        return self._stream.stream.crafting if isinstance(self._stream, _Twins) else None

    @property
    def digest(self) -> str | None:
        """The digest of a stream of twins."""
        return self._stream.stream.digest if isinstance(self._stream, _Twins) else None

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


def _archived(options: Recorded) -> _Archive | _Twins:
    path = existing_file(options.location, "recorded://attack.npz")
    again = "record the stream again"
    try:
        with Archive(path) as archive:
            if "adversarial" not in archive.headers:
                return _Archive(path, archive)
            again = "craft it again, or copy it again"
            return _Twins(read_twins(archive), options)
    except (ArchiveError, OSError) as error:
        raise SourceError(f"{path} {_reason(error)}: {again}") from None


class _Archive:
    times_ns = None

    def __init__(self, path: Path, archive: Archive) -> None:
        self._path = path
        _check(archive.headers)
        if (schema := int(archive.read("schema"))) != SCHEMA:
            raise ArchiveError(f"has schema {schema}, and this version of edgebench reads {SCHEMA}")
        self.length = archive.headers["images"].shape[0]
        self._labels = _numbers(archive.read("labels")) if "labels" in archive.headers else [None] * self.length
        self._tracks = _numbers(archive.read("tracks")) if "tracks" in archive.headers else [None] * self.length
        self.task = (str(archive.read("task")) if "task" in archive.headers else "") or None

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


class _Twins:
    """A stream of twins in memory, so that nothing is unpacked between two frames."""

    times_ns = None

    def __init__(self, stream: TwinStream, options: Recorded) -> None:
        self.stream = stream
        self.task = stream.crafting.task
        self._labels, self._tracks = _numbers(stream.labels), _numbers(stream.tracks)
        for name, least in (("bursts", 1), ("block", 1), ("seed", 0)):
            if (value := getattr(options, name)) is not None and value < least:
                raise ValueError(f"{name}={value} is out of range: choose a whole number from {least} on, such as 7")
        pairs = len(stream.clean)
        if options.share is None:
            if options.bursts is not None:
                raise ValueError("bursts are of attacked frames: say which share is attacked, such as share=0.1")
            versions: list[Twin] = ["clean", "adversarial"]
            if stream.floats is not None and options.floats:
                versions.append("floats")
            self._order = [(pair, versions[version]) for pair, version in turns(pairs, len(versions), options.block)]
        else:
            chosen = attacked(pairs, options.share, options.bursts, options.seed)
            self._order = [(pair, "adversarial" if each else "clean") for pair, each in enumerate(chosen.tolist())]
        self.length = len(self._order)

    def frames(self) -> Iterator[Frame]:
        stream = self.stream
        for pair, twin in self._order:
            yield Frame(
                stream.clean[pair] if twin == "clean" else stream.adversarial[pair],
                f"frame {pair} {twin}",
                self._labels[pair],
                self._tracks[pair],
                twin=twin,
                pair=pair,
                exact=stream.floats[pair] if twin == "floats" and stream.floats is not None else None,
            )


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
        write_archive(path, arrays)
    except OSError as error:
        raise SourceError(f"{path} cannot be written ({error.strerror}): choose another place") from None


def _check(arrays: Mapping[str, Described]) -> None:
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


def _numbers(column: NDArray[Any]) -> list[int | None]:
    return [number if number >= 0 else None for number in column.tolist()]
