"""Engines kept between runs, since building takes seconds each.

    $XDG_CACHE_HOME/edgebench/tensorrt/
        <network>-<precision>-<target>/<part>.engine    a line of JSON (what it was built for, and its digest), the plan
        timings-<library>-<version>-<target>            what the builder has learned about kernels

An engine is code.  It is loaded only if it and its folder belong to the user and nobody else may write there, and if
all that it depends on is as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from edge.backends.tensorrt.engines import Boundary, Engine

# Counts up when engines, or the graphs that they are built from, change.
SCHEMA = 1
# Networks kept; the one that was used longest ago goes first.
KEPT = 16

_HEADER_LIMIT_BYTES = 2**16
_PLAN_LIMIT_BYTES = 2**31
_TIMINGS_LIMIT_BYTES = 2**28
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class UnusableError(Exception):
    """Why an engine that is there cannot be used: the end of a sentence that begins with "it"."""


@dataclass(frozen=True, slots=True)
class BuiltFor:
    """All that an engine depends on.

    `device` is the GPU's name where it is this machine's, else empty; `options` what else was set, as text.
    """

    network: str
    part: str
    precision: str
    library: str
    version: str
    device: str
    target: str
    options: str = ""
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class EngineCache:
    """The engines of one network in one precision for one target."""

    folder: Path

    def load(self, built_for: BuiltFor) -> Engine | None:
        """The engine of a part, or None where there is none.

        Raises:
            UnusableError: there is one that must not or cannot be used.
        """
        file = self._file(built_for.part)
        try:
            _check_owner(self.folder.lstat(), self.folder.name)
            with _open(file) as stream:
                engine = _read(stream, built_for)
            os.utime(self.folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnusableError(f"cannot be read ({error.strerror or error})") from error
        return engine

    def store(self, built_for: BuiltFor, engine: Engine) -> None:
        """Store an engine, whole or not at all, in the place of one that was there.

        Raises:
            OSError: it cannot be written.
        """
        self._own_folder()
        header = {
            "built_for": asdict(built_for),
            "inputs": [asdict(boundary) for boundary in engine.inputs],
            "outputs": [asdict(boundary) for boundary in engine.outputs],
            "bytes": len(engine.plan),
            "sha256": hashlib.sha256(engine.plan).hexdigest(),
        }
        _replace(self._file(built_for.part), json.dumps(header).encode() + b"\n" + engine.plan)
        _drop_oldest(self.folder.parent)

    def _own_folder(self) -> None:
        """Make the folder, or make it anew where others could have put something into it."""
        self.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _check_owner(self.folder.lstat(), self.folder.name)
        except UnusableError:
            shutil.rmtree(self.folder)
        except FileNotFoundError:
            pass
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def _file(self, part: str) -> Path:
        return self.folder / f"{_file_name(part)}.engine"


def cache_of(network: str, precision: str, target: str) -> EngineCache | None:
    """Where the engines of the network with that digest are; None without a home."""
    caches = caches_folder()
    return EngineCache(caches / f"{network[:16]}-{precision}-{target}") if caches else None


def caches_folder() -> Path | None:
    """The folder of all engines; None without a home."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # The XDG specification has relative paths ignored.
        folder = Path(home) if os.path.isabs(home) else Path.home() / ".cache"
    except RuntimeError:
        return None
    return folder / "edgebench" / "tensorrt"


@dataclass(frozen=True, slots=True)
class Timings:
    """What builders have learned about the kernels of one device, in a file."""

    file: Path

    def load(self) -> bytes:
        """What was kept, or nothing."""
        # Without it kernels are timed again; whatever is wrong with it is no reason to stop.
        try:
            with _open(self.file) as stream:
                return stream.read(_TIMINGS_LIMIT_BYTES)
        except (OSError, UnusableError):
            return b""

    def store(self, timings: bytes) -> None:
        """Keep them, if they can be kept."""
        with suppress(OSError):
            _replace(self.file, timings)


def timings_of(library: str, version: str, device: str, target: str) -> Timings | None:
    """The timings of a device; None without a home."""
    caches = caches_folder()
    return Timings(caches / _file_name(f"timings-{library}-{version}-{device or 'other'}-{target}")) if caches else None


def difference(found: Mapping[str, Any], wanted: BuiltFor) -> str | None:
    """Why an engine built for one thing does not serve another, or None."""
    others = asdict(wanted)
    differing = [name for name in others if found.get(name) != others[name]]
    if not differing:
        return None
    if "network" in differing:
        return "was built from another network"
    if "library" in differing or "version" in differing:
        return (
            f"was built by {found.get('library')} {found.get('version')}, and this is {wanted.library} {wanted.version}"
        )
    if "device" in differing or "target" in differing:
        there = found.get("device") or found.get("target")
        return f"was built for another GPU ({there}), and this is {wanted.device or wanted.target}"
    return f"was built with other settings ({', '.join(differing)})"


def _read(stream: BinaryIO, built_for: BuiltFor) -> Engine:
    line = stream.readline(_HEADER_LIMIT_BYTES)
    try:
        header = json.loads(line)
        found = header["built_for"]
        inputs, outputs = (tuple(_boundary(fields) for fields in header[side]) for side in ("inputs", "outputs"))
        size_bytes, sha256 = int(header["bytes"]), str(header["sha256"])
    except (ValueError, TypeError, KeyError) as error:
        raise UnusableError("is damaged at its beginning") from error
    differs = difference(found, built_for)
    if differs is not None:
        raise UnusableError(differs)
    plan = stream.read(min(max(size_bytes, 0), _PLAN_LIMIT_BYTES) + 1)
    if len(plan) != size_bytes:
        raise UnusableError(f"is {'cut off' if len(plan) < size_bytes else 'longer than it was'}")
    if hashlib.sha256(plan).hexdigest() != sha256:
        raise UnusableError("was altered since it was built")
    return Engine(plan, inputs, outputs)


def _boundary(fields: dict[str, Any]) -> Boundary:
    return Boundary(str(fields["name"]), tuple(map(int, fields["shape"])), fields["element"], fields["layout"])


def _open(file: Path) -> BinaryIO:
    """A file of the user's own; neither through a link nor waiting for the writer of a pipe."""
    stream = open(file, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK))  # noqa: SIM115
    try:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UnusableError("is no ordinary file")
        _check_owner(status, file.name)
    except UnusableError:
        stream.close()
        raise
    return stream


def _check_owner(status: os.stat_result, name: str) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise UnusableError(f"lies behind a link ({name})")
    if status.st_uid != os.geteuid():
        raise UnusableError(f"belongs to another user ({name})")
    if status.st_mode & _OTHERS_MAY_WRITE:
        raise UnusableError(f"could have been written by other users ({name})")


def _replace(file: Path, data: bytes) -> None:
    descriptor, beside = tempfile.mkstemp(dir=file.parent, prefix=".")
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
        os.replace(beside, file)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _file_name(text: str) -> str:
    """The text itself where it may be a file's name, else as much of it and a digest."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", text)
    return (
        plain
        if plain == text and len(text) <= 100
        else f"{plain[:60]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    )


def _drop_oldest(caches: Path) -> None:
    """Remove all but the networks used last."""
    with suppress(OSError):
        entries = [entry for entry in caches.iterdir() if entry.is_dir()]
        for entry in sorted(entries, key=lambda entry: entry.stat().st_mtime, reverse=True)[KEPT:]:
            shutil.rmtree(entry, ignore_errors=True)
