"""Packages of others, with entry points."""

from __future__ import annotations

from pathlib import Path


def distribution(folder: Path, name: str, entry_points: str, *requires: str, **modules: str) -> None:
    """An installed distribution, as pip leaves it."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {each}" for each in requires)]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    (info / "entry_points.txt").write_text(entry_points)
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source)
