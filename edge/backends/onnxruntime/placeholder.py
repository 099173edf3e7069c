"""An empty file in the place of weights that sessions are supplied with."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from weakref import finalize

# The file that every external weight names.
NAME = "weights"


class Placeholder:
    """ONNX Runtime 1.32 insists that the file of an external weight exists, even when the weight is supplied otherwise.

    One folder serves all sessions of a network: making and removing one for each took as long as the session itself,
    4 ms of the first frame on a new route.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None

    def folder(self) -> Path:
        """The folder with the file; made anew where somebody has tidied it away.

        Raises:
            OSError: it cannot be made.
        """
        if self._folder is None or not (self._folder / NAME).exists():
            self._folder = Path(tempfile.mkdtemp(prefix="edgebench-"))
            (self._folder / NAME).touch()
            # With the network, or at the end of the process.
            finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder
