"""The networks that come with the package, one bundle folder each, and manifests of others that are too large to."""

from __future__ import annotations

import difflib
from pathlib import Path

from edge.bundle import BundleError, Manifest, read_manifest

_SHIPPED = Path(__file__).parent


def shipped() -> list[str]:
    """The names of the bundles that come with the package."""
    return sorted(manifest.parent.name for manifest in _SHIPPED.glob("*/manifest.json"))


def elsewhere() -> list[Manifest]:
    """What is known of networks that do not come with the package: the manifests that their bundles had."""
    return [read_manifest(file) for file in sorted((_SHIPPED / "elsewhere").glob("*.json"))]


def model_folder(name_or_path: str) -> Path:
    """The folder of a shipped bundle, by its name, or of one's own, by its path; a shipped name comes first.

    Raises:
        BundleError: it is neither.
    """
    names = shipped()
    if name_or_path in names:
        return _SHIPPED / name_or_path
    path = Path(name_or_path)
    if name_or_path and path.exists():
        return path
    near = difflib.get_close_matches(name_or_path, names, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    known = f"shipped are {', '.join(names)}" if names else "none is shipped"
    raise BundleError(f"there is no model {name_or_path!r}: {guess}{known}; or give the path of a bundle's folder")
