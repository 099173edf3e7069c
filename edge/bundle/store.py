"""Bundles on disk: opened only after every byte is accounted for, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edge.bundle.document import digest, parse, serialise
from edge.bundle.error import BundleError
from edge.bundle.manifest import Manifest, Measured
from edge.network import Calibration, Network, Stage

if TYPE_CHECKING:
    import onnx

MANIFEST = "manifest.json"
MANIFEST_LIMIT_BYTES = 2**20

# All stages together; half of what protobuf can parse, and a ResNet152 in float32 has 0.23 GiB.
STAGES_LIMIT_BYTES = 2**30

# What may lie beside the manifest and the stages: text for people.  Anything else (a pickle, a script, a library)
# has no business in a bundle, and a stage that the manifest forgot would go unchecked.
_COMPANION_SUFFIXES = (".md", ".txt")
_COMPANION_NAMES = ("LICENSE", "NOTICE")


@dataclass(frozen=True)
class Bundle:
    """One exported network in a folder; every file had the digest that the manifest states when it was opened.

    `digest` is the SHA-256 of the manifest, and so of everything; `size_bytes` that of manifest and stages on disk.
    """

    folder: Path
    manifest: Manifest
    digest: str
    size_bytes: int

    @property
    def name(self) -> str:
        return self.manifest.name

    @cached_property
    def network(self) -> Network:
        """The network, with the thresholds that were calibrated for it."""
        return replace(self.manifest.network, calibrations=self.manifest.controllers.calibrated)

    def stage_model(self, stage_id: str) -> onnx.ModelProto:
        """The stage's model, checked, with float32 weights; one input and one output, named as in the manifest.

        Raises:
            BundleError: the file changed since the bundle was opened, or holds what may not be in a bundle.
        """
        with _naming(self.folder):
            return _stage_model(self.folder, self.network.stages[stage_id])


def open_bundle(folder: Path) -> Bundle:
    """The bundle in a folder; its files are hashed, and none is parsed but the manifest.

    Raises:
        BundleError: it is not one, or not the one that its manifest describes.
    """
    with _naming(folder):
        return _load(folder)


def read_manifest(file: Path) -> Manifest:
    """A manifest without its bundle.

    Raises:
        BundleError: it is not one.
    """
    with _naming(file):
        return parse(_read(file, MANIFEST_LIMIT_BYTES))


def write_bundle(
    folder: Path, manifest: Manifest, models: Mapping[str, onnx.ModelProto], *, overwrite: bool = False
) -> Bundle:
    """Write a bundle, whole or not at all, and read it back; the `sha256` of each stage is computed here.

    `models` are stored as they are: pass them through `narrow` for a small bundle.

    Raises:
        BundleError: the folder exists and `overwrite` is not set, or what was written is not a valid bundle.
    """
    with _naming(folder):
        if folder.exists() and not overwrite:
            raise BundleError("the folder exists already: choose another, or ask for it to be overwritten")
        if folder.exists() and not (folder / MANIFEST).is_file():
            raise BundleError(f"the folder exists and has no {MANIFEST}: only a bundle is overwritten")
        if set(models) != set(manifest.network.stages):
            raise BundleError("the models given are not those of the stages in the manifest")
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = _name_beside(folder)
        try:
            _write_files(beside, manifest, models)
            bundle = _load(beside)
            for stage in bundle.network.stages.values():
                _stage_model(beside, stage)
            _take_place(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return replace(bundle, folder=folder)


def state_measured(folder: Path, measured: Measured | None) -> Bundle:
    """Replace what a bundle's manifest states as measured; the digest changes with it.

    A bundle is measured as it is stored, so this comes after `write_bundle`.

    Raises:
        BundleError: the folder is not a valid bundle, or would not be one.
    """
    with _naming(folder):
        return _restate(folder, replace(_load(folder).manifest, measured=measured))


def state_calibration(folder: Path, name: str, calibration: Calibration) -> Bundle:
    """Add calibrated thresholds to a bundle's manifest, in the place of those of the same name.

    The digest changes with them: they decide what the network answers, so a run that used them must be told from one
    with others.

    Raises:
        BundleError: the folder is not a valid bundle, or would not be one.
    """
    with _naming(folder):
        manifest = _load(folder).manifest
        calibrated = {**manifest.controllers.calibrated, name: calibration}
        return _restate(folder, replace(manifest, controllers=replace(manifest.controllers, calibrated=calibrated)))


def _restate(folder: Path, manifest: Manifest) -> Bundle:
    data = serialise(manifest)
    parse(data)
    beside = _name_beside(folder)
    _write(beside, data)
    beside.replace(folder / MANIFEST)
    _sync_folder(folder)
    return _load(folder)


def _load(folder: Path) -> Bundle:
    if not folder.is_dir():
        raise BundleError("there is no such folder" if not folder.exists() else "this is not a folder")
    data = _read(folder / MANIFEST, MANIFEST_LIMIT_BYTES)
    manifest = parse(data)
    stages = manifest.network.stages.values()
    _check_companions(folder, {MANIFEST, *(stage.file for stage in stages)})
    left_bytes = STAGES_LIMIT_BYTES
    for stage in stages:
        left_bytes -= _check_file(folder, stage, left_bytes)
    return Bundle(folder, manifest, digest(manifest), len(data) + STAGES_LIMIT_BYTES - left_bytes)


def _stage_model(folder: Path, stage: Stage) -> onnx.ModelProto:
    # Here, because importing onnx takes 165 ms on a desktop and a run from a cache does without.
    from edge.bundle.check import parse_stage
    from edge.bundle.narrow import widen

    # Hashed again, so that the bytes that are parsed are the bytes that were checked.
    data = _read(folder / stage.file, STAGES_LIMIT_BYTES)
    _check_digest(stage, hashlib.sha256(data).hexdigest())
    return widen(parse_stage(data, stage))


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Put the folder in front of what is refused inside it, by us or by the system."""
    try:
        yield
    except BundleError as error:
        raise BundleError(f"bundle {folder}: {error}") from None
    except OSError as error:
        raise BundleError(f"bundle {folder}: {Path(error.filename or folder).name}: {error.strerror}") from error


@contextmanager
def _open(file: Path, limit_bytes: int) -> Iterator[BinaryIO]:
    if file.is_symlink():
        raise BundleError(f"{file.name} is a link: a bundle holds its files itself")
    if not file.exists():
        raise BundleError(f"{file.name} is missing: fetch or export the bundle again")
    if file.is_dir():
        raise BundleError(f"{file.name} is not an ordinary file")
    # Neither through a link made since, nor waiting for the writer of a pipe.
    with open(file, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)) as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(f"{file.name} is not an ordinary file")
        if status.st_size > limit_bytes:
            raise BundleError(
                f"{file.name} has {status.st_size:,} bytes, more than the {limit_bytes:,} that are allowed"
            )
        yield stream


def _read(file: Path, limit_bytes: int) -> bytes:
    with _open(file, limit_bytes) as stream:
        # A file may have grown since; what is cut off at the limit then fails its check.
        return stream.read(limit_bytes)


def _check_file(folder: Path, stage: Stage, limit_bytes: int) -> int:
    """Its size in bytes, if it has the stated digest."""
    sha256, size_bytes = hashlib.sha256(), 0
    with _open(folder / stage.file, limit_bytes) as stream:
        while size_bytes <= limit_bytes and (chunk := stream.read(2**20)):
            sha256.update(chunk)
            size_bytes += len(chunk)
    _check_digest(stage, sha256.hexdigest())
    return size_bytes


def _check_digest(stage: Stage, found: str) -> None:
    if found != stage.sha256:
        raise BundleError(
            f"{stage.file} is not the file that the manifest describes (its SHA-256 is {found[:12]}..., not "
            f"{stage.sha256[:12]}...): fetch or export the bundle again"
        )


def _check_companions(folder: Path, known: set[str]) -> None:
    for entry in sorted(folder.iterdir()):
        companion = entry.name in _COMPANION_NAMES or entry.suffix in _COMPANION_SUFFIXES
        if entry.name not in known and not (companion and entry.is_file() and not entry.is_symlink()):
            raise BundleError(f"{entry.name[:60]!r} is neither manifest, stage nor text for people: remove it")


def _write_files(folder: Path, manifest: Manifest, models: Mapping[str, onnx.ModelProto]) -> None:
    folder.mkdir()
    stages = {}
    for stage in manifest.network.stages.values():
        data = models[stage.id].SerializeToString(deterministic=True)
        _write(folder / stage.file, data)
        stages[stage.id] = replace(stage, sha256=hashlib.sha256(data).hexdigest())
    network = replace(manifest.network, stages=stages)
    _write(folder / MANIFEST, serialise(replace(manifest, network=network)))
    _sync_folder(folder)


def _write(file: Path, data: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name_beside(folder: Path) -> Path:
    """A free name on the same file system, so that a rename can take the place of `folder` at once."""
    return folder.parent / f".{folder.name}.{secrets.token_hex(4)}"


def _take_place(new: Path, folder: Path) -> None:
    """Give `new` the name `folder`; what was there goes first, because no folder is renamed onto a full one."""
    old = new.with_name(new.name + ".old")
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    _sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
