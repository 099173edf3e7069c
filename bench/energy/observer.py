"""Holds the sampling process beside a run."""

from __future__ import annotations

import json
import os
import pickle
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from devices.boards.power import PowerMeter
from devices.boards.sampler import DESCRIPTION_FILE

# Sensors are opened and read once before the run waits no longer: a program as slow as nvidia-smi takes a second.
READY_S = 15.0
# A reading may hang in a bus; the run's figures do not wait for it.
STOP_S = 3.0


class EnergyObserver:
    """Starts the sampler, marks the idle baseline, and stops the sampler; a failure is kept as `problem`, never raised.

    A run is measured with or without its energy, so nothing that befalls the sampler may end it.  `open_meters` is
    pickled (`board.power_meters`): the sensors are opened in the sampler's process.  The sampler gets the last usable
    core for itself if the frames leave it one.
    """

    def __init__(
        self,
        open_meters: Callable[[], Sequence[PowerMeter]],
        *,
        cores_for_frames: int = 1,
        root: Path = Path("/"),
    ) -> None:
        self.problem: str | None = None
        self._open_meters, self._cores_for_frames, self._root = open_meters, cores_for_frames, root
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> int | None:
        """The sampler's process, while there is one."""
        return None if self._process is None else self._process.pid

    def start(self, folder: Path) -> None:
        """Sample into this folder from now on; returns when every sensor has been read once."""
        self._folder = folder
        try:
            self._process = process = _launch(folder, self._root, self._core())
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(pickle.dumps(self._open_meters))
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], READY_S)
            if not ready or process.stdout.readline() != b"ready\n":
                self._fail("did not start" if ready else f"did not answer within {READY_S:.0f} s")
        # The last three are what pickle raises for what it cannot take.
        except (OSError, pickle.PicklingError, AttributeError, TypeError) as error:
            self._fail(f"could not be started ({error})")

    def idle(self, seconds: float) -> None:
        """Wait, while nothing runs, and note this time as the baseline."""
        if self._process is None:
            return
        began_ns = time.monotonic_ns()
        time.sleep(seconds)
        self._note({"idle_ns": [began_ns, time.monotonic_ns()]})

    def stop(self) -> None:
        """Let the sampler read once more and end; without effect where it does not run."""
        if self._process is None:
            return
        if self._process.poll() is not None:
            self._fail("ended in mid-run")
        else:
            self._end()

    def _core(self) -> int | None:
        usable = sorted(os.sched_getaffinity(0))
        return usable[-1] if len(usable) > self._cores_for_frames else None

    def _end(self) -> str:
        """What the sampler said last of all."""
        process, self._process = self._process, None
        assert process is not None
        try:
            _, errors = process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            _, errors = process.communicate()
        return (errors or b"").decode("utf-8", "replace").strip().rpartition("\n")[2][:500]

    def _fail(self, what: str) -> None:
        reason = "" if self._process is None else self._end()
        self.problem = f"the sampler {what}" + (f": {reason}" if reason else "")
        self._note({"problem": self.problem})

    def _note(self, facts: dict[str, object]) -> None:
        """Add facts to what the sampler wrote of itself: `report` must find them in the folder."""
        assert self._folder is not None
        path = self._folder / DESCRIPTION_FILE
        unfinished = path.with_suffix(".json.tmp")
        try:
            description = json.loads(path.read_bytes()) if path.exists() else {}
            unfinished.write_text(json.dumps({**description, **facts}, indent=1), encoding="ascii")
            os.replace(unfinished, path)
        except (OSError, ValueError) as error:
            self.problem = self.problem or f"{path} cannot be written ({error})"


def _launch(folder: Path, root: Path, core: int | None) -> subprocess.Popen[bytes]:
    """The process, in a session of its own: signals of the terminal are for the run, which then ends it."""
    # From the top of the file tree with this one's search path made absolute: where the user stands may hold anything.
    search_path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "devices.boards.sampler", str(folder.resolve()), str(root.resolve())),
            *(() if core is None else (str(core),)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env={**os.environ, "PYTHONPATH": search_path},
        start_new_session=True,
    )
