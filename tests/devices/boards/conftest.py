from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from boards.trees import build

from devices.boards.machine import Machine

BuildBoard = Callable[[str], Machine]
Forbid = Callable[[str], None]


@pytest.fixture
def board(tmp_path: Path) -> BuildBoard:
    """Builds a recorded board."""
    return lambda name: build(name, tmp_path / name)


@pytest.fixture
def forbid(monkeypatch: pytest.MonkeyPatch) -> Forbid:
    """Closes what lies under a part of a path, as the kernel does for users; taking rights away would not stop root."""
    really_open = os.open
    closed: list[str] = []

    def guarded(path: str | Path, *arguments: int, **settings: int) -> int:
        if any(part in str(path) for part in closed):
            raise PermissionError(13, "Permission denied", str(path))
        return really_open(path, *arguments, **settings)

    monkeypatch.setattr(os, "open", guarded)
    return closed.append
