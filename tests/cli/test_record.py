from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest

from devices.recording import read_clip
from devices.sources.base import SourceError
from devices.sources.recorded import Recorded
from devices.sources.synthetic import Synthetic


def test_a_source_is_kept_and_replayed(edgebench, tmp_path: Path) -> None:
    ended = edgebench("record", "--source", "synthetic://gtsrb?tracks=1", "--out", "clip", "--frames", "4")

    assert (ended.status, ended.err) == (0, "")
    first, second = ended.out.splitlines()
    assert first.startswith("clip: 4 frames in ")
    assert second == "replay: --source recorded://clip"
    originals = Synthetic("gtsrb", tracks=1).frames()
    for kept, original in zip(Recorded(str(tmp_path / "clip")).frames(), originals, strict=False):
        assert (kept.image == original.image).all()
        assert (kept.label, kept.track, kept.roi, kept.name) == (
            original.label,
            original.track,
            original.roi,
            original.name,
        )


def test_json_is_one_document(edgebench) -> None:
    ended = edgebench("record", "--source", "synthetic://gtsrb?tracks=1", "--out", "clip", "--frames", "2", "--json")

    document = json.loads(ended.out)
    assert set(document) == {"schema", "source", "folder", "frames", "dropped", "seconds", "size_bytes"}
    assert (document["source"], document["frames"], document["dropped"]) == ("synthetic://gtsrb?tracks=1", 2, 0)
    assert document["size_bytes"] > 0


def test_a_recording_is_recorded_with_its_times(edgebench, tmp_path: Path) -> None:
    edgebench("record", "--source", "synthetic://gtsrb?tracks=1", "--out", "clip", "--frames", "3")
    index = tmp_path / "clip" / "frames.jsonl"
    lines = [json.loads(line) for line in index.read_text().splitlines()]
    for number, line in enumerate(lines[1:]):
        line["arrival_ns"] = number * 30_000_000
    index.write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert edgebench("record", "--source", "recorded://clip", "--out", "again").status == 0

    times = read_clip(tmp_path / "again").times_ns()
    assert times is not None
    assert times[1] >= 30_000_000


def test_a_folder_that_is_used_is_refused(edgebench, tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "mine.txt").write_text("mine")

    ended = edgebench("record", "--source", "synthetic://gtsrb", "--out", "clip")

    assert (ended.status, ended.out) == (2, "")
    assert ended.err == "edgebench: clip already holds files: name a new folder, or empty this one\n"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--source", "camera://987"), "camera 987 is not there (/dev/video987): "),
        (("--source", "nowhere://0"), "there is no source 'nowhere'"),
        (("--source", "synthetic://gtsrb", "--queue", "some"), "argument --queue: 'some' is neither"),
    ],
)
def test_a_refusal_is_one_sentence_and_leaves_no_folder(edgebench, tmp_path: Path, words, part: str) -> None:
    ended = edgebench("record", "--out", "clip", *words)

    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(f"edgebench: {part}")
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "clip").exists()


def test_a_source_that_breaks_off_keeps_the_frames_before(edgebench, tmp_path: Path, monkeypatch) -> None:
    def broken(self: Synthetic) -> object:
        yield from islice(real(self), 3)
        raise SourceError("camera 0 was lost after 3 frames: check its cable")

    real = Synthetic.frames
    monkeypatch.setattr(Synthetic, "frames", broken)

    ended = edgebench("record", "--source", "synthetic://gtsrb", "--out", "clip")

    assert ended.status == 4
    assert ended.err == (
        "edgebench: camera 0 was lost after 3 frames: check its cable. The 3 frames before are kept in clip.\n"
    )
    assert Recorded(str(tmp_path / "clip")).length == 3


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are Unix")
def test_a_full_disk_ends_the_recording_and_keeps_it(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the kernel refuses the write in the same place."""
    program = (
        "import resource, sys; from bench.cli.main import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500)); "
        "sys.exit(main(['record', '--source', 'synthetic://gtsrb', '--out', 'clip', '--frames', '200']))"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)

    assert ended.returncode == 4
    assert "no space is left for clip. The " in ended.stderr
    assert "Traceback" not in ended.stderr
    kept = Recorded(str(tmp_path / "clip"))
    assert len(list(kept.frames())) == kept.length > 0


@pytest.mark.parametrize(("words", "status"), [((), 130), (("--json",), 130)])
def test_ctrl_c_keeps_what_was_recorded(tmp_path: Path, words: tuple[str, ...], status: int) -> None:
    command = [sys.executable, "-m", "bench", "record", "--source", "synthetic://gtsrb", "--out", "clip"]
    started = subprocess.Popen(
        [*command, "--frames", "1000000", *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not (tmp_path / "clip" / "00000003.png").exists():
        assert started.poll() is None, started.communicate()
        time.sleep(0.01)
    os.kill(started.pid, signal.SIGINT)
    out, err = started.communicate(timeout=60)

    assert started.returncode == status
    assert b"Traceback" not in err
    kept = json.loads(out)["frames"] if words else int(out.split()[1])
    assert Recorded(str(tmp_path / "clip")).length == kept >= 3
