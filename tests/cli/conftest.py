"""Command lines run in this process, and their whole output held against a file."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.cli.main import main

GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Ended:
    """What a command line left: exit status, stdout and stderr."""

    status: int
    out: str
    err: str


EdgeBench = Callable[..., Ended]
Golden = Callable[[str, str], None]


@pytest.fixture
def edgebench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Runs a command line in an empty folder, 80 columns wide, with the user's folders inside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*words: str) -> Ended:
        capsys.readouterr()
        status = main(words)
        said = capsys.readouterr()
        return Ended(status, said.out, said.err)

    return run


@pytest.fixture
def golden() -> Golden:
    """Holds a text against golden/NAME; with EDGEBENCH_UPDATE_GOLDEN=1 the file is written instead."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("EDGEBENCH_UPDATE_GOLDEN"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"look at {path}, then run with EDGEBENCH_UPDATE_GOLDEN=1"

    return check


@pytest.fixture
def threads_as_they_were() -> Iterator[None]:
    """Torch computes with as many threads after the test as before it."""
    if importlib.util.find_spec("torch") is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
