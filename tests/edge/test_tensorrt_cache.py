"""Engines are code: one that is not exactly what was kept, by this user and for this, is never loaded."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edge.backends.tensorrt.obtain as obtaining
from edge.backends.tensorrt import engine_cache
from edge.backends.tensorrt.builder import Built
from edge.backends.tensorrt.engine_cache import BuiltFor, EngineCache, UnusableError, cache_of
from edge.backends.tensorrt.engines import Boundary, Engine
from edge.backends.tensorrt.library import Library
from edge.backends.tensorrt.obtain import Request, obtain
from edge.backends.tensorrt.targets import Device, Machine
from edge.bundle import Bundle, open_bundle

BUILT_FOR = BuiltFor("n" * 64, "block0", "fp16", "tensorrt", "10.3.0", "Orin", "sm87")
SIDE = Boundary("x", (1, 8, 4, 4), "float16", "HWC8")
ENGINE = Engine(b"ftrt and kernels", (SIDE,), (replace(SIDE, name="y"),))
ORIN = Machine(jetson=True, device=Device("Orin", "sm87"))
LIBRARY = Library(SimpleNamespace(), "tensorrt", "10.3.0", strongly_typed=True, newest_opset=20)


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    cache = EngineCache(tmp_path / "cache" / "network")
    cache.store(BUILT_FOR, ENGINE)
    return cache


@pytest.fixture
def bundle(gated: Path) -> Bundle:
    return open_bundle(gated)


class FakeBuilder:
    """Builds what says for what it was built, and remembers what it was asked for."""

    asked: list[str] = []  # noqa: RUF012
    learned: list[bytes] = []  # noqa: RUF012

    def __init__(self, library: Library, target: str, precision: str, timings: bytes) -> None:
        self._named = f"{library.version} {target} {precision}"
        self.learned.append(timings)

    def build(self, part: Any, what: str) -> Built:
        self.asked.append(what)
        return Built(f"{self._named} {what}".encode(), f"learned {len(self.asked)}".encode())


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeBuilder]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(obtaining, "Builder", FakeBuilder)
    FakeBuilder.asked, FakeBuilder.learned = [], []
    return FakeBuilder


def file_of(cache: EngineCache) -> Path:
    return cache.folder / "block0.engine"


def test_what_was_stored_is_loaded(cache: EngineCache) -> None:
    assert cache.load(BUILT_FOR) == ENGINE
    assert cache.load(replace(BUILT_FOR, part="block1")) is None
    assert EngineCache(cache.folder.parent / "none").load(BUILT_FOR) is None


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("network", "m" * 64, "was built from another network"),
        ("version", "10.16.2", "was built by tensorrt 10.3.0, and this is tensorrt 10.16.2"),
        ("library", "tensorrt_rtx", "was built by tensorrt 10.3.0, and this is tensorrt_rtx 10.3.0"),
        ("device", "Orin Nano", r"was built for another GPU \(Orin\), and this is Orin Nano"),
        ("precision", "int8", r"was built with other settings \(precision\)"),
        ("options", "workspace", r"was built with other settings \(options\)"),
        ("schema", 2, r"was built with other settings \(schema\)"),
    ],
)
def test_a_stale_engine(cache: EngineCache, field: str, value: object, reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        cache.load(replace(BUILT_FOR, **{field: value}))


def write_as_another(path: Path) -> None:
    path.chmod(0o664)


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def altered(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"!")


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def no_header(path: Path) -> None:
    path.write_bytes(b"ftrt")


def a_strange_header(path: Path) -> None:
    path.write_text(json.dumps([1, 2]) + "\n")


def open_folder(path: Path) -> None:
    path.parent.chmod(0o777)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (write_as_another, "could have been written by other users (block0.engine)"),
        (cut_off, "is cut off"),
        (altered, "was altered since it was built"),
        (longer, "is longer than it was"),
        (a_link, "cannot be read (Too many levels of symbolic links)"),
        (a_pipe, "is no ordinary file"),
        (no_header, "is damaged at its beginning"),
        (a_strange_header, "is damaged at its beginning"),
        (open_folder, "could have been written by other users (network)"),
    ],
)
def test_an_engine_that_cannot_be_trusted(cache: EngineCache, harm: Callable[[Path], None], reason: str) -> None:
    """It says why, and storing it anew makes it good again."""
    harm(file_of(cache))
    with pytest.raises(UnusableError, match=re.escape(reason)):
        cache.load(BUILT_FOR)
    cache.store(BUILT_FOR, ENGINE)
    assert cache.load(BUILT_FOR) == ENGINE
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert file_of(cache).stat().st_mode & 0o777 == 0o600


def test_another_users_engine(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(UnusableError, match="belongs to another user"):
        cache.load(BUILT_FOR)


def test_a_folder_behind_a_link(cache: EngineCache, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(cache.folder)
    with pytest.raises(UnusableError, match="lies behind a link"):
        EngineCache(tmp_path / "link").load(BUILT_FOR)


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(tmp_path_factory: pytest.TempPathFactory, position: int, bit: int) -> None:
    """Or harmless: nothing but the engine that was stored is ever given."""
    cache = EngineCache(tmp_path_factory.mktemp("flipped") / "network")
    cache.store(BUILT_FOR, ENGINE)
    file = file_of(cache)
    data = bytearray(file.read_bytes())
    data[position % len(data)] ^= 1 << bit
    file.write_bytes(data)
    try:
        engine = cache.load(BUILT_FOR)
    except UnusableError:
        return
    # What lies at the boundaries is held against the network by whoever asked.
    assert engine is not None
    assert engine.plan == ENGINE.plan


def test_the_oldest_networks_go(tmp_path: Path) -> None:
    caches = [EngineCache(tmp_path / f"network{index}") for index in range(engine_cache.KEPT + 2)]
    for index, cache in enumerate(caches):
        cache.store(BUILT_FOR, ENGINE)
        os.utime(cache.folder, (index, index))
    caches[0].store(BUILT_FOR, ENGINE)
    left = [cache.load(BUILT_FOR) is not None for cache in caches]
    assert (left[0], left[1], sum(left)) == (True, False, engine_cache.KEPT)


def test_engines_are_built_once(bundle: Bundle, builder: type[FakeBuilder]) -> None:
    first = obtain(bundle, Request("fp16"), machine=ORIN, library=LIBRARY)
    assert (set(builder.asked), first.built) == (set(bundle.network.stages), len(bundle.network.stages))
    again = obtain(bundle, Request("fp16"), machine=ORIN, library=LIBRARY)
    assert (again.built, again.engines) == (0, first.engines)
    assert obtain(bundle, Request("fp16", rebuild=True), machine=ORIN, library=LIBRARY).built == first.built
    assert obtain(bundle, Request("fp16", cache=False), machine=ORIN, library=LIBRARY).built == first.built
    # What was learned about kernels is there for the next builder, but not without a cache.
    assert builder.learned == [b"", f"learned {first.built}".encode(), b""]


def test_one_line_says_why_engines_are_rebuilt(bundle: Bundle, builder: type[FakeBuilder]) -> None:
    count = len(bundle.network.stages)
    obtain(bundle, Request("fp16"), machine=ORIN, library=LIBRARY)
    newer = obtain(bundle, Request("fp16"), machine=ORIN, library=replace(LIBRARY, version="10.16.2"))
    assert newer.built == count
    assert newer.notes == (
        f"{count} engines are built anew: each was built by tensorrt 10.3.0, and this is tensorrt 10.16.2",
    )
    assert newer.engines.stages["stem"].plan == b"10.16.2 sm87 fp16 stem"
    nano = replace(ORIN, device=Device("Orin Nano", "sm87"))
    on_another = obtain(bundle, Request("fp16"), machine=nano, library=replace(LIBRARY, version="10.16.2"))
    assert on_another.notes == (
        f"{count} engines are built anew: each was built for another GPU (Orin), and this is Orin Nano",
    )
    cache = cache_of(bundle.digest, "fp16", "sm87")
    assert cache is not None
    altered(cache.folder / "stem.engine")
    damaged = obtain(bundle, Request("fp16"), machine=nano, library=replace(LIBRARY, version="10.16.2"))
    assert (damaged.built, damaged.notes) == (1, ("1 engine is built anew: it was altered since it was built",))


def test_an_engine_with_other_boundaries_is_not_used(bundle: Bundle, builder: type[FakeBuilder]) -> None:
    first = obtain(bundle, Request("fp16"), machine=ORIN, library=LIBRARY)
    cache = cache_of(bundle.digest, "fp16", "sm87")
    assert cache is not None
    built_for = BuiltFor(bundle.digest, "stem", "fp16", "tensorrt", "10.3.0", "Orin", "sm87")
    assert cache.load(built_for) == first.engines.stages["stem"]
    cache.store(built_for, ENGINE)
    again = obtain(bundle, Request("fp16"), machine=ORIN, library=LIBRARY)
    assert (again.built, again.engines) == (1, first.engines)


def test_what_cannot_be_kept_is_given_all_the_same(
    bundle: Bundle, builder: type[FakeBuilder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(tmp_path)
    tmp_path.write_text("no folder")
    obtained = obtain(bundle, Request("fp16"), machine=ORIN, library=LIBRARY)
    assert obtained.built == len(bundle.network.stages)
    assert obtained.unkept is not None
    assert "Not a directory" in obtained.unkept


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))
    assert cache_of("n" * 64, "fp16", "sm87") is None
