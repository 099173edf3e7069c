"""What is raised when a bundle is refused."""

from __future__ import annotations


class BundleError(ValueError):
    """A bundle cannot be used or written: one sentence that says what is wrong, where, and what to do."""
