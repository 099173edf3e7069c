"""A stream of twins: adversarial frames beside the clean ones that they were made of, in one numpy archive.

`clean` and `adversarial` (n, height, width, 3) uint8 RGB, `labels` and `tracks` (n,) integers (-1: none), `crafting`
the JSON of how they were made, in bytes, `schema` (1) and `digest`, the SHA-256 of all that.  `floats`, the adversarial
frames before a camera rounds them, float32 in [0, 1], and `clean_scores` and `adversarial_scores` (n, classes), what
the attacked network said of them, may be missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.datasets.archive import Archive, ArchiveError, Described, write_archive
from devices.sources.base import SourceError

SCHEMA = 1
# They are held in memory while they are replayed, on a board.
MAX_TWINS_BYTES = 2**30
MAX_CRAFTING_BYTES = 2**20
MAX_CLASSES = 100_000
_FRAMES = ("clean", "adversarial")
_OF_FRAMES = ("labels", "tracks")
_SCORES = ("clean_scores", "adversarial_scores")


@dataclass(frozen=True, slots=True)
class Crafting:
    """All that it takes to make the adversarial frames again.

    `attack` and `source` are specs, `digest` is that of the bundle of `model`, the network that was attacked, `task`
    the data set whose classes the labels are; `more` is any other JSON.
    """

    attack: str
    model: str
    digest: str
    source: str
    seed: int | None
    task: str | None
    versions: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class TwinStream:
    """A stream as it is in the file; `digest` names its content."""

    clean: NDArray[np.uint8]
    adversarial: NDArray[np.uint8]
    labels: NDArray[np.int64]
    crafting: Crafting
    tracks: NDArray[np.int64]
    floats: NDArray[np.float32] | None
    clean_scores: NDArray[np.float32] | None
    adversarial_scores: NDArray[np.float32] | None
    digest: str


def write_twins(
    path: Path,
    clean: NDArray[np.uint8],
    adversarial: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]],
    crafting: Crafting,
    *,
    tracks: NDArray[np.integer[Any]] | None = None,
    floats: NDArray[np.float32] | None = None,
    clean_scores: NDArray[np.float32] | None = None,
    adversarial_scores: NDArray[np.float32] | None = None,
) -> str:
    """Write a stream of twins and give its digest; whoever reads it meanwhile sees the old file or the whole new one.

    Equal arguments give equal bytes.

    Args:
        path: the file, overwritten if it exists.
        clean, adversarial: (n, height, width, 3) uint8 RGB, at least one; frame i of both is one pair.
        labels: (n,) class indices, -1 where unknown.
        crafting: how they were made.
        tracks: (n,) track numbers, -1 where there is none.
        floats: (n, height, width, 3) in [0, 1], the adversarial frames before they were rounded to 8 bits.
        clean_scores, adversarial_scores: (n, classes) what the attacked network said when they were made.

    Raises:
        ValueError: the arrays are no stream.
        SourceError: the file cannot be written.
    """
    content: dict[str, NDArray[Any] | None] = {
        "schema": np.array(SCHEMA, np.int64),
        "clean": clean,
        "adversarial": adversarial,
        "labels": labels,
        "tracks": np.full(len(clean), -1) if tracks is None else tracks,
        "crafting": np.frombuffer(json.dumps(asdict(crafting), allow_nan=False).encode(), np.uint8),
        "floats": floats,
        "clean_scores": clean_scores,
        "adversarial_scores": adversarial_scores,
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in content.items() if array is not None}
    arrays |= {name: arrays[name].astype(np.int64) for name in _OF_FRAMES if arrays[name].dtype.kind in "iu"}
    # An array without dimensions comes out of ascontiguousarray with one.
    arrays["schema"] = arrays["schema"].reshape(())
    digest = _digest(arrays)
    try:
        _check({**arrays, "digest": np.array(digest)})
        _check_values(arrays)
    except ArchiveError as error:
        raise ValueError(f"{path} is not written, because it {error}") from None
    try:
        write_archive(path, {**arrays, "digest": np.array(digest)})
    except OSError as error:
        raise SourceError(f"{path} cannot be written ({error.strerror}): choose another place") from None
    return digest


def read_twins(archive: Archive) -> TwinStream:
    """The stream in an open archive, checked against its digest.

    Raises:
        ArchiveError: it is none, is too large, damaged or was altered.
    """
    _check(archive.headers)
    if (schema := int(archive.read("schema"))) != SCHEMA:
        raise ArchiveError(f"has schema {schema} of twins, and this version of edgebench reads {SCHEMA}")
    arrays: dict[str, NDArray[Any]] = {name: archive.read(name) for name in archive.headers if name != "digest"}
    digest = str(archive.read("digest"))
    if _digest(arrays) != digest:
        raise ArchiveError("was altered after it was written (its content does not match its digest)")
    _check_values(arrays)
    return TwinStream(
        arrays["clean"],
        arrays["adversarial"],
        arrays["labels"],
        _crafting(arrays["crafting"]),
        arrays["tracks"],
        arrays.get("floats"),
        arrays.get("clean_scores"),
        arrays.get("adversarial_scores"),
        digest,
    )


def _check(arrays: Mapping[str, Described]) -> None:
    """Refuse what is no stream of twins, from names, shapes and types alone."""
    needed, known = ("schema", *_FRAMES, *_OF_FRAMES, "crafting", "digest"), ("floats", *_SCORES)
    for name in needed:
        if name not in arrays:
            raise ArchiveError(f"is no stream of twins, because it has no array {name!r}")
    for name in arrays:
        if name not in (*needed, *known):
            raise ArchiveError(f"has an array {name[:40]!r}, which no stream of twins has")
    if (total := sum(array.nbytes for array in arrays.values())) > MAX_TWINS_BYTES:
        raise ArchiveError(f"unpacks to {total / 2**30:.1f} GiB, more than the {MAX_TWINS_BYTES // 2**30} of twins")
    shape = arrays["clean"].shape
    for name in _FRAMES:
        array = arrays[name]
        if array.dtype != np.uint8 or len(array.shape) != 4 or array.shape[3] != 3 or 0 in array.shape:
            raise ArchiveError(f"has {name} {array.shape} {array.dtype} instead of (n, height, width, 3) uint8")
    for name in ("adversarial", "floats"):
        if name in arrays and arrays[name].shape != shape:
            raise ArchiveError(f"has {name} {arrays[name].shape} beside clean frames {shape}, so they are no twins")
    for name in ("floats", *_SCORES):
        if name in arrays and arrays[name].dtype != np.float32:
            raise ArchiveError(f"has {name} in {arrays[name].dtype} instead of float32")
    for name in _SCORES:
        if name in arrays and not (
            len(found := arrays[name].shape) == 2 and found[0] == shape[0] and 0 < found[1] <= MAX_CLASSES
        ):
            raise ArchiveError(f"has {name} {arrays[name].shape} instead of the scores of each frame")
    for name in _OF_FRAMES:
        if arrays[name].dtype != np.int64 or arrays[name].shape != shape[:1]:
            raise ArchiveError(f"has {name} {arrays[name].shape} {arrays[name].dtype} instead of int64 for each frame")
    crafting, digest = arrays["crafting"], arrays["digest"]
    if crafting.dtype != np.uint8 or len(crafting.shape) != 1 or not 0 < crafting.shape[0] <= MAX_CRAFTING_BYTES:
        raise ArchiveError("does not say how it was crafted")
    if arrays["schema"].shape or arrays["schema"].dtype != np.int64:
        raise ArchiveError("has a schema that is not an integer")
    if digest.shape or digest.dtype != np.dtype("<U64"):
        raise ArchiveError("has a digest that is no SHA-256")


def _check_values(arrays: Mapping[str, NDArray[Any]]) -> None:
    floats = arrays.get("floats")
    # NaN is in no range.
    if floats is not None and not (floats.min() >= 0 and floats.max() <= 1):
        raise ArchiveError("has floats outside [0, 1]")
    for name in _SCORES:
        if name in arrays and not np.isfinite(arrays[name]).all():
            raise ArchiveError(f"has {name} that are no finite numbers")
    for name in _OF_FRAMES:
        if arrays[name].min() < -1:
            raise ArchiveError(f"has {name} below -1")


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over names, types, shapes and values."""
    content = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        content.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        content.update(array.reshape(-1).view(np.uint8).data)
    return content.hexdigest()


def _crafting(encoded: NDArray[np.uint8]) -> Crafting:
    try:
        values = json.loads(encoded.tobytes())
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise ArchiveError("does not say how it was crafted in JSON")
    # What a later version adds is passed over.
    known: dict[str, Any] = {each.name: values.get(each.name) for each in fields(Crafting)}
    for name, value in known.items():
        fits, noun = _FITS[name]
        if not fits(value):
            raise ArchiveError(f"says nothing usable of how it was crafted: {name} must be {noun}")
    return Crafting(**known)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 4096


def _is_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


_FITS: dict[str, tuple[Callable[[object], bool], str]] = {
    **dict.fromkeys(("attack", "model", "digest", "source"), (_is_text, "a text")),
    "seed": (
        lambda value: value is None or (isinstance(value, int) and not isinstance(value, bool)),
        "a whole number or null",
    ),
    "task": (lambda value: value is None or _is_text(value), "a text or null"),
    "versions": (_is_texts, "an object of texts"),
    "more": (lambda value: isinstance(value, dict), "an object"),
}
