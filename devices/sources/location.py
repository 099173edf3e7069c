"""The place on disk that a source reads: checked once, refused in one sentence."""

from __future__ import annotations

import os
from pathlib import Path

from devices.sources.base import SourceError


def existing_file(location: str, example: str) -> Path:
    """The readable regular file at `location` ("~" is the home); `example` is a spec to show when it is missing.

    Raises:
        SourceError: there is none.
    """
    path = _existing(location, example)
    if path.is_dir():
        raise SourceError(f"{path} is a folder, not a file: read its images with dir://{location}")
    # A pipe or a device would block, or never end.
    if not path.is_file():
        raise SourceError(f"{path} is not a regular file: give a file, for example {example}")
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        raise SourceError(f"{path} may not be read by this user: change its permissions (chmod a+r)")
    return path


def existing_folder(location: str, example: str) -> Path:
    """The readable folder at `location` ("~" is the home); `example` is a spec to show when it is missing.

    Raises:
        SourceError: there is none.
    """
    path = _existing(location, example)
    if not path.is_dir():
        raise SourceError(f"{path} is a file, not a folder: name its folder, or read it alone with file://{location}")
    if not os.access(path, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise SourceError(f"{path} may not be read by this user: change its permissions (chmod a+rx)")
    return path


def _existing(location: str, example: str) -> Path:
    if not location or "\0" in location:
        raise SourceError(f"the source names no place: write it behind the scheme, for example {example}")
    try:
        path = Path(location).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise SourceError(f"{location} does not exist: check the path, for example {example}") from None
    except PermissionError:
        raise SourceError(
            f"{location} may not be reached by this user: change the permissions of its folders"
        ) from None
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SourceError(f"{location} cannot be opened ({reason}): check the path, for example {example}") from None
    return path
