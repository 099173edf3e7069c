"""What a user is told when a request cannot be served."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import IntEnum


class Status(IntEnum):
    """The exit statuses of the program."""

    DONE = 0
    LIMIT_FAILED = 1
    REFUSED = 2
    BROKEN_OFF = 4
    INTERRUPTED = 130


@dataclass
class RequestError(Exception):
    """A request that cannot be served: what happened and where, in one sentence, and what to do."""

    code: str
    message: str
    hint: str | None = None
    status: Status = Status.REFUSED

    def __str__(self) -> str:
        return self.message.rstrip(".") + (f". {self.hint}" if self.hint else "")

    def to_json(self) -> dict[str, str | None]:
        """The `error` of the JSON document on stdout."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


# By name, since importing the classes would import numpy for `--help`; each layer's errors are one sentence already.
_CODES = {
    "BackendError": "backend",
    "BundleError": "bundle",
    "ClusterError": "ray",
    "DeviceLostError": "device",
    "GalleryError": "picture",
    "PictureError": "picture",
    "PluginError": "plugin",
    "RecipeError": "usage",
    "RecordsError": "records",
    "RegionError": "roi",
    "SettingsError": "settings",
    "SourceError": "source",
    "SpecError": "spec",
}


def explain(error: BaseException) -> RequestError:
    """Any exception as what the user is told."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return RequestError("interrupted", "interrupted", status=Status.INTERRUPTED)
    for ancestor in type(error).__mro__:
        if ancestor.__name__ in _CODES:
            return RequestError(_CODES[ancestor.__name__], str(error))
    if isinstance(error, MemoryError):
        return RequestError("memory", "no memory is left", "Choose a smaller model, or stop other programs.")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return RequestError("disk", "no space is left where the output goes", "Free some and run again.")
    if isinstance(error, OSError) and error.filename is not None:
        return RequestError("file", f"{error.filename}: {error.strerror}")
    return RequestError(
        "fault",
        f"this is a fault of edgebench, not of the request ({type(error).__name__}: {error})",
        "Run again with --debug to see where it happened, and report it.",
    )
