"""`edgebench latency`: the way through, and every end a run can have."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cifar_files import write_noise
from distributions import distribution
from toys import exit_bundle

from bench.records import RunWriter
from bench.timeline import FrameRecord
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
    distribution(
        tmp_path, "fragile", "[edgebench.sources]\nfragile = fragile_source:Fragile\n", fragile_source=FRAGILE_SOURCE
    )
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


def test_frames_that_come_on_their_own_add_up(edgebench, gated: Path) -> None:
    words = ("--source", "synthetic://gtsrb", "--backend", "null", "--fps", "50", "--duration", "2s", "--out", "monday")

    ended = edgebench("latency", "--model", str(gated), *words, "--json")

    assert ended.status == 0
    document = json.loads(ended.out)
    arrivals, deadline = document["arrivals"], document["deadline"]
    assert arrivals["arrived"] == arrivals["processed"] + arrivals["dropped"] + arrivals["queued"]
    assert arrivals["processed"] == document["frames"] > 0
    assert document["open_loop"] == {"fps": 50.0, "queue": "newest"}
    # Without a deadline of its own, a frame is due when the next one comes.
    assert deadline["deadline_ms"] == 20.0
    assert deadline["missed"] == deadline["late"] + arrivals["dropped"]
    assert deadline["missed_share"]["n"] == arrivals["processed"] + arrivals["dropped"]
    assert json.loads(edgebench("report", "monday", "--json").out) == document
    text = edgebench("report", "monday").out
    assert f"arrived           {arrivals['arrived']:,} frames at " in text
    assert "deadline          20 ms  from a frame's arrival to its result\n" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_deadline_is_counted_for_frames_that_were_fetched_too(edgebench, gated: Path, stream: str) -> None:
    words = ("--source", stream, "--backend", "null", "--deadline", "0.000001ms", "--json")

    document = json.loads(edgebench("latency", "--model", str(gated), *words).out)

    assert (document["open_loop"], document["arrivals"]) == (None, None)
    assert document["deadline"]["missed"] == document["deadline"]["longest_burst"] == FRAMES


def test_frames_are_kept_as_pictures(edgebench, gated: Path, stream: str) -> None:
    words = ("--source", stream, "--backend", "null", "--snapshot", "pictures")

    assert edgebench("latency", "--model", str(gated), *words).status == 0
    assert [path.name for path in Path("pictures").iterdir()] == ["frame-0000000.png"]


def test_a_sign_is_searched_for_in_every_frame(edgebench, gated: Path, stream: str) -> None:
    ended = edgebench("latency", "--model", str(gated), "--source", stream, "--roi", "detect", "--out", "monday")

    assert ended.status == 0
    header, *rows = Path("monday/frames.csv").read_text().splitlines()
    column = header.split(",").index("detect_ns")
    assert all(int(row.split(",")[column]) > 0 for row in rows)


def test_a_disk_that_fills_up_keeps_the_figures_of_what_it_took(edgebench, gated: Path, monkeypatch) -> None:
    written = RunWriter.append

    def fills_up(self: RunWriter, record: FrameRecord) -> None:
        if record.frame == 30:
            full = os.open("/dev/full", os.O_WRONLY)
            os.dup2(full, self._frames.fileno())
            os.close(full)
            self.flush()
        written(self, record)
        self.flush()

    monkeypatch.setattr(RunWriter, "append", fills_up)
    words = ("--source", "synthetic://gtsrb", "--backend", "null", "--frames", "200", "--out", "monday", "--json")
    ended = edgebench("latency", "--model", str(gated), *words)

    assert ended.status == 4
    document = json.loads(ended.out)
    assert (document["frames"], document["complete"], document["error"]["code"]) == (30, False, "records")
    assert "No space left on device" in document["error"]["message"]
    assert json.loads(edgebench("report", "monday", "--json").out)["frames"] == 30


@contextmanager
def long_run(model: Path, folder: Path, **streams: Any) -> Iterator[subprocess.Popen[str]]:
    """A run of five minutes into `folder`/monday, in a process of its own; does not outlive the test."""
    words = ["--backend", "null", "--source", "synthetic://gtsrb", "--duration", "5m", "--out", "monday", "--json"]
    command = [sys.executable, "-m", "bench", "latency", "--model", str(model), *words]
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with subprocess.Popen(command, cwd=folder, env=environment, text=True, **streams) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_rows(folder: Path, more_than: int) -> int:
    """How many rows there are, as soon as there are more than so many."""
    frames = folder / "monday/frames.csv"
    deadline_s = time.monotonic() + 120
    while (rows := frames.read_bytes().count(b"\n") if frames.exists() else 0) <= more_than:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    return rows


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_run_is_shown_and_kept(gated: Path, tmp_path: Path, name: str) -> None:
    with long_run(gated, tmp_path, stdout=subprocess.PIPE) as process:
        wait_for_rows(tmp_path, 20)
        process.send_signal(getattr(signal, name))
        out, _ = process.communicate(timeout=120)

    assert process.returncode == 130
    document = json.loads(out)
    assert document["frames"] > 0
    assert (document["complete"], document["error"]["code"]) == (False, "interrupted")
    assert json.loads((tmp_path / "monday/run.json").read_text())["frames"] == document["frames"]


def test_a_run_whose_terminal_is_gone_goes_on(gated: Path, tmp_path: Path) -> None:
    terminal, its_side = os.openpty()

    def attach() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    streams = {"stdin": its_side, "stdout": its_side, "stderr": its_side}
    with long_run(gated, tmp_path, **streams, start_new_session=True, preexec_fn=attach) as process:
        os.close(its_side)
        rows = wait_for_rows(tmp_path, 20)
        # The kernel sends SIGHUP, and every write fails from here on.
        os.close(terminal)
        wait_for_rows(tmp_path, rows + 600)
        process.terminate()
        assert process.wait(timeout=120) == 130

    run = json.loads((tmp_path / "monday/run.json").read_text())
    assert run["frames"] > rows
    assert not run["complete"]


def test_a_hang_up_is_answered_with_where_the_result_will_be(gated: Path, tmp_path: Path) -> None:
    with long_run(gated, tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        rows = wait_for_rows(tmp_path, 20)
        process.send_signal(signal.SIGHUP)
        wait_for_rows(tmp_path, rows + 300)
        process.terminate()
        _, said = process.communicate(timeout=120)

    assert process.returncode == 130
    assert "the run goes on; its result will be in monday: edgebench report monday\n" in said


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
        (("--queue", "all"), "frames of recorded://stream.npz are fetched one by one and never wait. "),
        (("--snapshot", "."), ". holds files, or may not be written to: "),
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


@pytest.mark.parametrize("option", ["--fps", "--queue"])
def test_two_networks_in_turn_keep_no_pace(edgebench, gated: Path, stream: str, option: str) -> None:
    words = ("--source", stream, "--baseline", str(gated), option, "30")

    ended = edgebench("latency", "--model", str(gated), *words)

    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("edgebench: two networks that take turns cannot show whether one of them keeps up, ")


def test_a_camera_keeps_its_own_pace(edgebench, gated: Path, fragile: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import fragile_source

    monkeypatch.setattr(fragile_source.Fragile, "live", True, raising=False)
    ended = edgebench("latency", "--model", str(gated), "--source", "fragile://30", "--backend", "null", "--fps", "30")

    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("edgebench: fragile://30 has a pace of its own, so --fps cannot set it. Ask the camera")


def test_a_baseline_for_another_task_is_refused(edgebench, gated: Path, everything: Path) -> None:
    ended = edgebench("latency", "--model", str(gated), "--baseline", str(everything))

    assert (ended.status, ended.out) == (2, "")
    assert ended.err == (
        "edgebench: toy-both (toy, input 8x8) cannot be compared with toy-gated (toy, input 32x32) on the same frames. "
        "Choose a baseline for the same data set and input size.\n"
    )


@pytest.mark.parametrize(
    ("data_set", "hint"),
    [
        ("cifar10", "Set EDGEBENCH_DATA to their folder, or name a --source, such as dir://FOLDER."),
        ("toy", "Name a --source, such as dir://FOLDER."),
    ],
)
def test_images_that_are_not_here_are_asked_for(
    edgebench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_set: str, hint: str
) -> None:
    monkeypatch.delenv("EDGEBENCH_DATA", raising=False)
    model = exit_bundle(tmp_path / "net", blocks=2, channels=4, classes=10, size=8, exits=2, data_set=data_set)

    ended = edgebench("latency", "--model", str(model), "--controller", "confidence:0.9")

    assert (ended.status, ended.out) == (2, "")
    assert ended.err == (
        f"edgebench: toy-exits is a network for {data_set}, whose images are not part of the project. {hint}\n"
    )


def test_a_network_is_shown_the_test_images_of_its_own_data_set(
    edgebench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEBENCH_DATA", str(write_noise(tmp_path)))
    model = exit_bundle(tmp_path / "net", blocks=2, channels=4, classes=10, size=8, exits=2, data_set="cifar10")

    ended = edgebench("latency", "--model", str(model), "--controller", "confidence:0.9", "--json")

    assert ended.status == 0, ended.err
    document = json.loads(ended.out)
    assert (document["source"], document["frames"], document["accuracy"]["n"]) == ("dataset://cifar10/test", 12, 12)


def test_a_network_of_traffic_signs_is_shown_rendered_ones(edgebench) -> None:
    ended = edgebench("latency", "--model", "gusodrop", "--backend", "null", "--frames", "3", "--json")

    assert (ended.status, json.loads(ended.out)["source"]) == (0, "synthetic://gtsrb")
