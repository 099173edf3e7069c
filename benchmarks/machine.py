"""What a benchmark ran on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timezone

from devices.boards.base import Environment


def machine_lines(environment: Environment) -> Iterator[str]:
    """Where, with what, when, and how busy it was: figures of a busy machine are those of its other programs too."""
    cores = environment.cores_usable
    where = environment.board or environment.cpu_model or environment.architecture
    behind = environment.virtual_machine or environment.container
    packages = {name: environment.packages.get(name) for name in ("onnxruntime", "onnxruntime-gpu", "torch")}
    versions = [f"{name} {version}" for name, version in packages.items() if version]
    yield f"{where}, {len(cores) if cores else '?'} cores" + (f", behind {behind}" if behind else "")
    yield ", ".join([f"Python {environment.python}", *versions, f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"])
    yield f"load average {os.getloadavg()[0]:.1f}"
