"""The import of ONNX Runtime, guarded: it can be missing, abort the process, or phone home."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.backends.base import BackendError

_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")
_CORES = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True)
class Installation:
    """What decides whether the import is safe.

    `version` is that of the installed distribution, None where none is known (a build of the board's own may carry
    another name); `present` and `online` are the kernel's lists of cores ("0-3,6"), None where it gives none.
    """

    version: str | None
    present: str | None
    online: str | None


def offline_cores(present: str, online: str) -> list[int]:
    """The cores that a board has but has switched off, given the kernel's two lists ("0-3,6")."""
    return sorted(_cores(present) - _cores(online))


def _cores(text: str) -> set[int]:
    cores: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        cores.update(range(int(first), int(last or first) + 1))
    return cores


def refusal(installation: Installation) -> str | None:
    """The sentence that says why onnxruntime must not be imported here, or None."""
    number = re.match(r"(\d+)\.(\d+)", installation.version or "")
    if number is None or installation.present is None or installation.online is None:
        return None
    offline = offline_cores(installation.present, installation.online)
    # 1.21.1 to 1.24.4 call abort() here (microsoft/onnxruntime #24221): no exception that could be caught.
    if not offline or not (1, 21) <= (int(number[1]), int(number[2])) <= (1, 24):
        return None
    named = ", ".join(map(str, offline))
    cores = f"core {named} of this board is" if len(offline) == 1 else f"cores {named} of this board are"
    return (
        f"onnxruntime {installation.version} would abort the process because {cores} switched off: "
        "switch all cores on (on a Jetson: sudo nvpmodel -m 0), or install onnxruntime==1.20.1"
    )


def read_installation() -> Installation:
    """What is installed here, and which cores are on."""
    return Installation(_installed_version(), _read("present"), _read("online"))


def _installed_version() -> str | None:
    found = (
        distribution.version for name in _DISTRIBUTIONS for distribution in importlib.metadata.distributions(name=name)
    )
    return next(found, None)


def _read(name: str) -> str | None:
    try:
        return (_CORES / name).read_text()
    except OSError:
        return None


def import_onnxruntime() -> Any:
    """The module `onnxruntime`, with its telemetry off.

    Raises:
        BackendError: it is not installed, or importing it would abort the process.
    """
    sentence = refusal(read_installation())
    if sentence is not None:
        raise BackendError(sentence)
    # Since 1.29 there is telemetry, on by default: a thread of its own in a program that measures time.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise BackendError(
            f"onnxruntime cannot be imported ({error}): install edgebench[cpu], or on a board with a GPU the build "
            "that its maker provides"
        ) from error
