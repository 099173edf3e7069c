"""The files in a work folder, which outlive a killed process, a full disk and a careless hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def reading(path: Path, fault: str, advice: str) -> Iterator[None]:
    """Inside, whatever the bytes of `path` make their readers raise becomes "PATH fault (KIND): advice".

    Only the kind of the error is told: torch's own advice is to load the file in a way that may run code.

    Raises:
        ValueError: an error was raised, and not because the file is missing or closed to us.
    """
    try:
        yield
    except (FileNotFoundError, PermissionError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(f"{path} {fault} ({type(error).__name__}): {advice}") from error
