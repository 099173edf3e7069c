"""Which JetPack a release of Jetson Linux (L4T) belongs to."""

from __future__ import annotations

# From NVIDIA's archive of JetPack releases.  A release that is not here is given the line it lies in.
_RELEASES = {
    "32.1": "4.2",
    "32.2": "4.2.1",
    "32.3.1": "4.3",
    "32.4.3": "4.4",
    "32.4.4": "4.4.1",
    "32.5": "4.5",
    "32.5.1": "4.5.1",
    "32.5.2": "4.5.1",
    "32.6.1": "4.6",
    "32.7.1": "4.6.1",
    "32.7.2": "4.6.2",
    "32.7.3": "4.6.3",
    "32.7.4": "4.6.4",
    "32.7.5": "4.6.5",
    "32.7.6": "4.6.6",
    "35.1": "5.0.2",
    "35.2.1": "5.1",
    "35.3.1": "5.1.1",
    "35.4.1": "5.1.2",
    "35.5": "5.1.3",
    "35.6": "5.1.4",
    "35.6.1": "5.1.5",
    "36.3": "6.0",
    "36.4": "6.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.5": "6.2.2",
    "36.5.2": "6.2.3",
    "38.2": "7.0",
    "38.2.1": "7.0",
    "38.4": "7.1",
    "39.2": "7.2",
    "39.2.1": "7.2.1",
    "39.2.2": "7.2.2",
}
# The longest beginning that fits counts.
_LINES = {
    "32.": "4.x",
    "34.": "5.0.x",
    "35.": "5.1.x",
    "36.": "6.x",
    "36.4.": "6.2.x",
    "36.5.": "6.2.x",
    "38.": "7.x",
    "39.": "7.x",
    "39.2.": "7.2.x",
}


def jetpack_of(l4t_release: str) -> str | None:
    """The JetPack of a release: "36.4.3" -> "6.2", and "36.4.9" -> "6.2.x" where only its line is known."""
    release = l4t_release
    while release.endswith(".0"):
        release = release.removesuffix(".0")
    if release in _RELEASES:
        return _RELEASES[release]
    fitting = [beginning for beginning in _LINES if f"{release}.".startswith(beginning)]
    return _LINES[max(fitting, key=len)] if fitting else None
