from __future__ import annotations

import importlib.metadata
import os
import sys
from types import ModuleType

import pytest

from edge.backends.base import BackendError
from edge.backends.onnxruntime import importing
from edge.backends.onnxruntime.importing import (
    Installation,
    import_onnxruntime,
    offline_cores,
    read_installation,
    refusal,
)


@pytest.mark.parametrize(
    ("present", "online", "offline"),
    [
        ("0-7\n", "0-7\n", []),
        ("0-7\n", "0-3\n", [4, 5, 6, 7]),
        ("0-5\n", "0,2-3,5\n", [1, 4]),
        ("0\n", "0\n", []),
        ("0-11", "0-1,4-11", [2, 3]),
    ],
)
def test_offline_cores(present: str, online: str, offline: list[int]) -> None:
    assert offline_cores(present, online) == offline


@pytest.mark.parametrize(
    ("version", "present", "online", "refused"),
    [
        ("1.20.1", "0-7", "0-3", False),
        ("1.21.0", "0-7", "0-3", True),
        ("1.21.1", "0-7", "0-3", True),
        ("1.23.2", "0-5", "0-3", True),
        ("1.24.4", "0-7", "0-6", True),
        ("1.24.0.dev20260101", "0-7", "0-3", True),
        ("1.25.0", "0-7", "0-3", False),
        ("1.32.0", "0-7", "0-3", False),
        ("2.23.0", "0-7", "0-3", False),
        ("1.23.2", "0-7", "0-7", False),
        ("1.23.2", None, "0-3", False),
        ("1.23.2", "0-7", None, False),
        (None, "0-7", "0-3", False),
        ("unknown", "0-7", "0-3", False),
    ],
)
def test_refusal(version: str | None, present: str | None, online: str | None, refused: bool) -> None:
    assert (refusal(Installation(version, present, online)) is not None) == refused


def test_refusal_says_what_to_do() -> None:
    assert refusal(Installation("1.23.2", "0-7\n", "0-6\n")) == (
        "onnxruntime 1.23.2 would abort the process because core 7 of this board is switched off: switch all cores on "
        "(on a Jetson: sudo nvpmodel -m 0), or install onnxruntime==1.20.1"
    )
    assert "because cores 4, 5 of this board are switched off" in str(refusal(Installation("1.23.2", "0-5", "0-3")))


def test_the_installation_here_is_read() -> None:
    assert read_installation().version == importlib.metadata.version("onnxruntime")


def test_nothing_is_imported_after_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "read_installation", lambda: Installation("1.23.2", "0-7", "0-3"))
    monkeypatch.setattr(importing.importlib, "import_module", lambda name: pytest.fail("imported"))
    with pytest.raises(BackendError, match="would abort the process"):
        import_onnxruntime()


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendError, match=r"onnxruntime cannot be imported \(.+\): install edgebench\[cpu\], or on a"):
        import_onnxruntime()


def test_telemetry_is_off_before_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def record(name: str) -> ModuleType:
        seen.append((name, os.environ.get("ORT_DISABLE_TELEMETRY")))
        return ModuleType(name)

    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setattr(importing.importlib, "import_module", record)
    import_onnxruntime()
    assert seen == [("onnxruntime", "1")]
