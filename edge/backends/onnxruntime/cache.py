"""The pieces of optimised networks kept between runs, so that a start need not optimise again.

    $XDG_CACHE_HOME/edgebench/onnxruntime/<key>/
        SHA256SUMS      the digest of pieces.json
        pieces.json     the graphs of the pieces (protobuf, in base64), where their weights are
                        what they sum up to, and scores to check by
        weights         see `weights_file`

An optimised graph fits one kind of processor, and gives wrong scores on another without a word.  So the key is made of
all that the graph depends on, and whoever loads an entry compares the scores before using it.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import math
import os
import platform
import shutil
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backends.onnxruntime.memory import Shared, share
from edge.backends.onnxruntime.pieces import Piece, Pieces
from edge.backends.onnxruntime.weights_file import Reading, start_reading, write_weights

# Counts up when entries, or the way graphs are optimised and cut, change.
SCHEMA = 3
# Networks kept; the one that was used longest ago goes first.
KEPT = 16

_SUMS, _PIECES, _WEIGHTS = "SHA256SUMS", "pieces.json", "weights"
_CPUINFO = Path("/proc/cpuinfo")
# What tells kinds of processors apart, on x86 and on ARM; the other lines are clocks, numbers of cores and the like.
_PROCESSOR_FIELDS = (
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"),
)


@dataclass(frozen=True, slots=True)
class Remembered:
    """The pieces of a network, and scores of the plain chain that they must give."""

    pieces: Pieces
    scores: list[NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was remembered, and the reading that its weights come from, which may still be going on."""

    remembered: Remembered
    reading: Reading


@dataclass(frozen=True, slots=True)
class Cache:
    """The entry of one network on one machine, in a folder that exists once it is stored."""

    folder: Path

    def load(self, ort: Any) -> Loaded | None:
        """What was stored, or None where there is nothing, or nothing that can be trusted; ask whether its weights are
        sound before relying on them."""
        # Whatever is wrong with an entry, the network can be optimised again.
        try:
            return _load(self.folder, ort)
        except Exception:
            return None

    def store(self, remembered: Remembered) -> None:
        """Store an entry, whole or not at all, in the place of a damaged one.

        Raises:
            OSError: it cannot be written.
        """
        caches = self.folder.parent
        caches.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=caches, prefix=".", ignore_cleanup_errors=True) as beside:
            new = Path(beside, "new")
            new.mkdir(mode=0o700)
            _write(new, remembered)
            with suppress(FileNotFoundError):
                self.folder.rename(Path(beside, "old"))
            try:
                new.rename(self.folder)
            except OSError as error:
                # Another process, which wrote the same, was faster.
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        _drop_oldest(caches)


def cache_of(digest: str, builder: Mapping[str, str]) -> Cache | None:
    """The entry of the network with that digest as the builder described optimises it here; None without a home."""
    try:
        processor = processor_of(_CPUINFO.read_text())
    except OSError:
        processor = platform.processor()
    caches = _caches()
    name = key(digest, f"{platform.machine()} {processor}", builder)
    return Cache(caches / name) if caches else None


def _caches() -> Path | None:
    home = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # The XDG specification has relative paths ignored.
        folder = Path(home) if os.path.isabs(home) else Path.home() / ".cache"
    except RuntimeError:
        return None
    return folder / "edgebench" / "onnxruntime"


def key(digest: str, processor: str, builder: Mapping[str, str]) -> str:
    """SHA-256 over all that an optimised graph depends on."""
    parts = {"schema": SCHEMA, "network": digest, "processor": processor, "builder": dict(builder)}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def processor_of(cpuinfo: str) -> str:
    """What the kernel's /proc/cpuinfo says of the processor's kind: model and features, of every kind of core."""
    lines = {
        " ".join(line.split()) for line in cpuinfo.splitlines() if line.partition(":")[0].strip() in _PROCESSOR_FIELDS
    }
    return "\n".join(sorted(lines))


def _write(folder: Path, remembered: Remembered) -> None:
    weights = remembered.pieces.weights
    distinct = {id(weight): weight.array for weight in weights.values()}
    contents = write_weights(folder / _WEIGHTS, distinct.values())
    offsets = dict(zip(distinct, contents.offsets, strict=True))
    document = {
        "header": _text(remembered.pieces.header),
        "stages": {stage: _document(piece) for stage, piece in remembered.pieces.by_stage.items()},
        "weights": {
            name: [weight.array.dtype.str, offsets[id(weight)], *weight.array.shape] for name, weight in weights.items()
        },
        "weights_bytes": contents.size_bytes,
        "weights_crc32": contents.crc32,
        "scores": [scores.tolist() for scores in remembered.scores],
    }
    data = json.dumps(document).encode()
    (folder / _PIECES).write_bytes(data)
    # Nothing is synchronised with the disk: what a power cut leaves half written fails its sums.
    (folder / _SUMS).write_text(f"{hashlib.sha256(data).hexdigest()}  {_PIECES}\n")


def _load(folder: Path, ort: Any) -> Loaded | None:
    status = folder.stat()
    # Graphs run as they are, so they must be our own: the folder may lie where others write too.
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return None
    data = (folder / _PIECES).read_bytes()
    if (folder / _SUMS).read_text() != f"{hashlib.sha256(data).hexdigest()}  {_PIECES}\n":
        return None
    document = json.loads(data)
    reading = start_reading(folder / _WEIGHTS, document["weights_bytes"], document["weights_crc32"])
    if reading is None:
        return None
    distinct: dict[tuple[Any, ...], Shared] = {}
    for place in map(tuple, document["weights"].values()):
        if place not in distinct:
            distinct[place] = share(ort, _array(reading.memory, *place))
    os.utime(folder)
    pieces = Pieces(
        base64.b64decode(document["header"]),
        {stage: _piece(**fields) for stage, fields in document["stages"].items()},
        {name: distinct[tuple(place)] for name, place in document["weights"].items()},
    )
    return Loaded(Remembered(pieces, [np.array(scores, np.float32) for scores in document["scores"]]), reading)


def _array(memory: NDArray[np.uint8], dtype: str, offset_bytes: int, *shape: int) -> NDArray[Any]:
    size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    return memory[offset_bytes : offset_bytes + size_bytes].view(dtype).reshape(shape)


def _document(piece: Piece) -> dict[str, Any]:
    return {name: _text(part) if isinstance(part, bytes) else part for name, part in asdict(piece).items()}


def _piece(operators: str, output: str, declares_input: str, declares_output: str, weights: list[str]) -> Piece:
    graphs = map(base64.b64decode, (operators, declares_input, declares_output))
    operators_model, input_model, output_model = graphs
    return Piece(operators_model, output, input_model, output_model, tuple(weights))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _drop_oldest(caches: Path) -> None:
    """Remove all but the entries used last, and with them what a killed process left half written."""
    with suppress(OSError):
        entries = sorted(caches.iterdir(), key=lambda entry: entry.stat().st_mtime, reverse=True)
        for entry in entries[KEPT:]:
            shutil.rmtree(entry, ignore_errors=True)
