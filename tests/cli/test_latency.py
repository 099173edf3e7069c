"""`edgebench latency`: the way through, and every end a run can have."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from devices.sources.recorded import write_recorded

FRAMES = 40

FRAGILE_SOURCE = """
import numpy as np
from dataclasses import dataclass
from devices.sources.base import Frame, SourceError

@dataclass
class Fragile:
    location: str = ""
    task = None
    length = None

    def frames(self):
        for number in range(int(self.location)):
            yield Frame(np.zeros((32, 32, 3), np.uint8), f"frame {number}")
        raise SourceError("the camera is gone: plug it in again")

    def close(self):
        pass
"""


@pytest.fixture
def stream(tmp_path: Path) -> str:
    """A source of 40 labelled frames."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (FRAMES, 32, 32, 3), np.uint8)
    write_recorded(tmp_path / "stream.npz", images, labels=generator.integers(0, 43, FRAMES), task="toy")
    return "recorded://stream.npz"


@pytest.fixture
def fragile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package's source `fragile://N`, which breaks off after N frames."""
    info = tmp_path / "fragile-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fragile\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[edgebench.sources]\nfragile = fragile_source:Fragile\n")
    (tmp_path / "fragile_source.py").write_text(FRAGILE_SOURCE)
    monkeypatch.syspath_prepend(tmp_path)


def test_the_document_of_a_run_is_what_report_shows(edgebench, gated: Path, stream: str) -> None:
    words = ("--source", stream, "--seed", "3", "--out", "monday", "--json")

    ended = edgebench("latency", "--model", str(gated), "--baseline", str(gated), *words)

    assert ended.status == 0
    document = json.loads(ended.out)
    assert document["model"] == "toy-gated"
    assert document["source"] == stream
    assert (document["backend"], document["controller"], document["seed"]) == ("onnxruntime", "gusodrop", 3)
    assert (document["frames"], document["complete"]) == (FRAMES, True)
    assert document["accuracy"]["n"] == FRAMES
    assert document["agreement"]["n"] == FRAMES
    assert document["baseline"]["model"] == "toy-gated-baseline"
    assert document["baseline"]["controller"] == "gusodrop"
    # One seed, and yet other draws: the bundle is the same.
    routes = [{each["route"]: each["count"] for each in of["paths"]} for of in (document, document["baseline"])]
    assert routes[0] != routes[1]
    assert f"asking the full network about {FRAMES} frames\n" in ended.err
    assert document["run"] == {"id": "monday", "folder": "monday"}
    assert document["environment"]["python"]
    assert json.loads(edgebench("report", "monday", "--json").out) == document


def test_a_run_without_a_terminal_is_plain_text(edgebench, gated: Path, stream: str, tmp_path: Path) -> None:
    ended = edgebench("latency", "--model", str(gated), "--source", stream, "--backend", "null", "--frames", "30")

    assert ended.status == 0
    assert ended.out.startswith(f"toy-gated on {stream}\n30 frames, controller gusodrop, null, 1 thread\n")
    assert "\x1b" not in ended.out
    folder = ended.out.rpartition("records")[2].strip()
    assert Path(folder).is_relative_to(tmp_path / "state/edgebench/runs")
    assert edgebench("report", folder).out == ended.out


def test_the_same_seed_takes_the_same_routes(edgebench, gated: Path, stream: str) -> None:
    words = ("latency", "--model", str(gated), "--source", stream, "--backend", "null", "--seed", "5", "--json")

    first, second = (json.loads(edgebench(*words).out)["paths"] for _ in range(2))

    assert [(path["route"], path["count"]) for path in first] == [(path["route"], path["count"]) for path in second]


def test_a_backend_that_computes_nothing_is_right_about_nothing(edgebench, gated: Path, stream: str) -> None:
    document = json.loads(
        edgebench("latency", "--model", str(gated), "--source", stream, "--backend", "null", "--json").out
    )

    assert document["frames"] == FRAMES
    assert (document["accuracy"], document["agreement"]) == (None, None)


def test_strict_refuses_a_run_that_is_too_short(edgebench, gated: Path, stream: str) -> None:
    words = ("--source", stream, "--backend", "null", "--frames", "5")

    assert edgebench("latency", "--model", str(gated), *words, "--strict").status == 1


def test_labels_of_another_data_set_are_left_out_and_said_to_be(edgebench, gated: Path, tmp_path: Path) -> None:
    write_recorded(tmp_path / "other.npz", np.zeros((3, 32, 32, 3), np.uint8), labels=np.zeros(3, int), task="gtsrb")

    ended = edgebench("latency", "--model", str(gated), "--source", "recorded://other.npz", "--json")

    assert json.loads(ended.out)["accuracy"] is None
    assert "note: the labels are those of gtsrb, not of toy; accuracy is left out\n" in ended.err


def test_a_source_that_breaks_off_keeps_the_records(edgebench, gated: Path, fragile: None) -> None:
    words = ("--source", "fragile://30", "--backend", "null", "--out", "monday")

    ended = edgebench("latency", "--model", str(gated), *words)

    assert ended.status == 4
    assert "incomplete: the run ended early" in ended.out
    assert ended.err.endswith(
        "edgebench: the camera is gone: plug it in again. The records of 30 frames are kept in monday.\n"
    )
    assert edgebench("report", "monday").out == ended.out


def test_a_source_that_breaks_off_says_so_in_the_document(edgebench, gated: Path, fragile: None) -> None:
    ended = edgebench("latency", "--model", str(gated), "--source", "fragile://3", "--backend", "null", "--json")

    assert ended.status == 4
    document = json.loads(ended.out)
    assert (document["frames"], document["complete"]) == (3, False)
    assert document["error"]["code"] == "source"


def test_a_source_that_never_begins_is_refused(edgebench, gated: Path, fragile: None) -> None:
    ended = edgebench("latency", "--model", str(gated), "--source", "fragile://0", "--backend", "null")

    assert (ended.status, ended.out) == (2, "")
    assert ended.err.endswith("edgebench: the camera is gone: plug it in again\n")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupted_run_is_shown_and_kept(gated: Path, tmp_path: Path, name: str) -> None:
    words = ["--backend", "null", "--source", "synthetic://gtsrb", "--duration", "5m", "--out", "monday", "--json"]
    command = [sys.executable, "-m", "bench", "latency", "--model", str(gated), *words]
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        frames = tmp_path / "monday/frames.csv"
        deadline_s = time.monotonic() + 120
        while not (frames.exists() and frames.read_bytes().count(b"\n") > 20) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        process.send_signal(getattr(signal, name))
        out, _ = process.communicate(timeout=120)

    assert process.returncode == 130
    document = json.loads(out)
    assert document["frames"] > 0
    assert (document["complete"], document["error"]["code"]) == (False, "interrupted")
    assert json.loads((tmp_path / "monday/run.json").read_text())["frames"] == document["frames"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--controller", "gusodrob"), "there is no controller 'gusodrob': did you mean 'gusodrop'? "),
        (("--controller", "fixed:11"), "route '11' does not fit: this network has 4 gates"),
        (("--controller", "random:2"), "keep is a probability from 0 to 1, not 2; for example random:0.6"),
        (("--backend", "abacus"), "there is no backend 'abacus': known are "),
        (("--source", "nowhere://0"), "there is no source 'nowhere': known are "),
        (("--source", "recorded://none.npz"), "none.npz does not exist: "),
        (("--roi", "0,0,33,10"), "frame 0: the region (0, 0, 33, 10) does not lie inside a frame of 32x32 pixels"),
        (("--roi", "frame"), "frame 0: the source marks no region; leave out --roi frame"),
        (("--picture", "none/frames.png"), "none/frames.png: none is no folder that you may write to: "),
        (("--out", "."), ". already holds files: name a new folder for the run, or empty this one"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(
    edgebench, gated: Path, stream: str, words: tuple[str, ...], sentence: str
) -> None:
    ended = edgebench("latency", "--model", str(gated), "--source", stream, "--backend", "null", *words)

    assert (ended.status, ended.out) == (2, "")
    said = [line for line in ended.err.splitlines() if not line.startswith(("preparing", "note"))]
    assert len(said) == 1
    assert said[0].startswith(f"edgebench: {sentence}")


def test_a_baseline_for_another_task_is_refused(edgebench, gated: Path, everything: Path) -> None:
    ended = edgebench("latency", "--model", str(gated), "--baseline", str(everything))

    assert (ended.status, ended.out) == (2, "")
    assert ended.err == (
        "edgebench: toy-both (toy, input 8x8) cannot be compared with toy-gated (toy, input 32x32) on the same frames. "
        "Choose a baseline for the same data set and input size.\n"
    )
