"""The process's own streams: whoever reads them may leave at any time, and the work goes on."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator


def prepare_streams() -> None:
    """Streams that were closed (`>&-`) swallow what is written; what an encoding cannot show is escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (as long as the process)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def note(text: str) -> None:
    """Print a line on stderr, if anybody still reads it."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """Around a print on stdout: a reader that left early (`edgebench ... | head`) is no reason to stop."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # EIO: the terminal is gone.
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise
        discard_stdout()


def discard_stdout() -> None:
    """Let stdout swallow what is left, or the interpreter would try to write it when it exits, and complain."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
