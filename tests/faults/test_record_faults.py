"""Records under faults that really happen: a kill, a full disk, a folder without the right to write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.records import RecordsError, RunWriter, read_run
from bench.records.rows import COLUMNS, record_of

ROW = "{},track 3 frame 12,gusodrop,0,0,1,,2,3,4,5,6,1101,0,fused,1,1" + "," * (len(COLUMNS) - 17)

WRITE_FOR_EVER = """
import itertools, sys
from pathlib import Path
from bench.records import RunWriter
from bench.records.rows import record_of
writer = RunWriter(Path(sys.argv[1]), {"model": "gusodrop"})
for frame in itertools.count():
    writer.append(record_of(sys.argv[2].format(frame).split(",")))
"""

WRITE_INTO_LIMIT = """
import resource, signal, sys
from pathlib import Path
from bench.records import RecordsError, RunWriter
from bench.records.rows import record_of
writer = RunWriter(Path(sys.argv[1]), {"model": "gusodrop"})
# The kernel refuses what lies beyond, as a quota does; the signal would kill instead.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with writer:
        for frame in range(10_000):
            writer.append(record_of(sys.argv[2].format(frame).split(",")))
except RecordsError as error:
    print(error)
    sys.exit(3)
"""


def start(program: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder), ROW],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_a_killed_run_keeps_what_it_measured(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with start(WRITE_FOR_EVER, folder) as process:
        frames = folder / "frames.csv"
        give_up = time.monotonic() + 60
        while not (frames.exists() and frames.stat().st_size > 200_000):
            assert process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    run = read_run(folder)
    assert not run.complete
    assert run.document == {"model": "gusodrop"}
    assert len(run.records) > 2000
    assert [record.frame for record in run.records] == list(range(len(run.records)))


def test_a_file_that_may_not_grow_keeps_its_whole_rows(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with start(WRITE_INTO_LIMIT, folder) as process:
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 3
    assert "the records cannot be written (File too large); the " in said
    assert said.count("\n") == 1
    assert (folder / "frames.csv").stat().st_size == 100_000
    run = read_run(folder)
    assert not run.complete
    assert [record.frame for record in run.records] == list(range(len(run.records)))
    assert len(run.records) > 1200


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_sentence_and_the_rows_before_stay(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "run", {"model": "gusodrop"})
    for frame in range(300):
        writer.append(record_of(ROW.format(frame).split(",")))
    writer.flush()
    assert writer._frames is not None
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, writer._frames.fileno())
    os.close(full)
    writer.append(record_of(ROW.format(300).split(",")))
    with pytest.raises(RecordsError, match=r"\(No space left on device\); the 300 rows before are kept: choose"):
        writer.finish({"model": "gusodrop"})
    writer.close()
    run = read_run(tmp_path / "run")
    assert (len(run.records), run.complete) == (300, False)


def test_a_document_that_does_not_fit_leaves_the_one_before(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "run", {"model": "gusodrop"})
    writer.append(record_of(ROW.format(0).split(",")))
    # In the way of the temporary file, as a full disk would be.
    (tmp_path / "run" / "run.json.tmp").mkdir()
    with pytest.raises(RecordsError, match="cannot be written"):
        writer.finish({"model": "gusodrop", "frames": 1})
    run = read_run(tmp_path / "run")
    assert (run.document, run.complete, len(run.records)) == ({"model": "gusodrop"}, False, 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(RecordsError, match=r"cannot be written \(Permission denied\)"):
            RunWriter(tmp_path / "run", {})
    finally:
        tmp_path.chmod(0o700)
