"""`edgebench latency` when frames, networks, streams or the user do not do as they should."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from distributions import distribution
from PIL import Image

from bench.cli import latency
from bench.contenders import open_contender
from devices.sources.recorded import write_recorded
from edge.bundle import open_bundle
from edge.controllers.base import Controller
from edge.controllers.constant import Fixed

PLUGINS = """
import numpy as np
from dataclasses import dataclass
from devices.sources.base import Frame
from edge.backends.null import Null, NullExecutable, OpenedNull

@dataclass
class Shrinking:
    '''Frames of 32 pixels, and of 16 from the N-th on.'''

    location: str = ""
    task = None
    length = 40

    def frames(self):
        for number in range(40):
            size = 32 if number < int(self.location) else 16
            yield Frame(np.zeros((size, size, 3), np.uint8), f"frame {number}")

    def close(self):
        pass

@dataclass
class NaN(Null):
    def open(self, models, threads):
        return OpenedNaN(models)

class OpenedNaN(OpenedNull):
    def compile(self, segment):
        return NullExecutable(super().compile(segment).run(None)[1] * np.float32("nan"))

    def close(self):
        print("closed")
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package's source `shrinking://N` and backend `nan`."""
    distribution(
        tmp_path,
        "faulty",
        "[edgebench.sources]\nshrinking = faulty:Shrinking\n[edgebench.backends]\nnan = faulty:NaN\n",
        faulty=PLUGINS,
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "faulty", raising=False)


def test_a_region_that_no_longer_fits_keeps_the_records(edgebench, gated: Path, plugins: None) -> None:
    words = ("--source", "shrinking://30", "--backend", "null", "--roi", "0,0,20,20", "--out", "monday", "--json")

    ended = edgebench("latency", "--model", str(gated), *words)

    assert ended.status == 4
    document = json.loads(ended.out)
    assert (document["frames"], document["complete"], document["error"]["code"]) == (30, False, "roi")
    assert ended.err.endswith(
        "edgebench: frame 30: the region (0, 0, 20, 20) does not lie inside a frame of 16x16 pixels. "
        "The records of 30 frames are kept in monday.\n"
    )
    assert json.loads((Path("monday") / "run.json").read_text())["records"]["conditions"] is not None


def test_a_network_that_answers_nothing_is_refused_and_its_records_kept(edgebench, gated: Path, plugins: None) -> None:
    words = ("--source", "shrinking://40", "--backend", "nan", "--controller", "all", "--out", "monday")

    ended = edgebench("latency", "--model", str(gated), *words)

    assert ended.status == 2
    assert ended.err.endswith(
        "edgebench: toy-gated answered no frame (the scores of route 1111 at exit 0 are not finite numbers). "
        "The records of 40 frames are kept in monday.\n"
    )
    assert "closed" in ended.out
    assert edgebench("report", "monday").status == 0


def test_a_policy_that_gives_no_probabilities_is_named(edgebench, gated: Path, plugins: None) -> None:
    ended = edgebench("policy", "--model", str(gated), "--source", "shrinking://40", "--backend", "nan")

    assert ended.status == 2
    assert ended.err == (
        "edgebench: the policy of toy-gated gives nan for frame 0, which is no probability. Export the bundle again.\n"
    )


def test_ctrl_c_keeps_what_was_seen_of_a_policy(edgebench, gated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.cli import policy

    seen = []

    def checked(keep, model, frame):
        seen.append(frame)
        if len(seen) == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return keep

    monkeypatch.setattr(policy, "_checked", checked)
    ended = edgebench("policy", "--model", str(gated), "--source", "synthetic://gtsrb", "--backend", "null", "--json")

    assert ended.status == 130
    assert json.loads(ended.out)["frames"] == 7
    assert ended.err.startswith("frames 1/1290  ")
    assert ended.err.endswith("edgebench: interrupted. The figures are those of 7 frames.\n")


def test_the_machine_is_looked_at_before_the_full_network_is_asked(
    edgebench, gated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def noted(name):
        function = getattr(latency, name)
        monkeypatch.setattr(latency, name, lambda *words: order.append(name) or function(*words))

    noted("look")
    noted("full_answers")
    assert edgebench("latency", "--model", str(gated), "--source", "synthetic://gtsrb", "--frames", "3").status == 0
    assert order == ["look", "look", "full_answers"]


def test_ctrl_c_while_the_full_network_is_asked_leaves_a_complete_run(
    edgebench, gated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = latency.full_answers

    def interrupted(*words):
        os.kill(os.getpid(), signal.SIGINT)
        return asked(*words)

    monkeypatch.setattr(latency, "full_answers", interrupted)
    ended = edgebench("latency", "--model", str(gated), "--source", "synthetic://gtsrb", "--frames", "30", "--json")

    assert ended.status == 0
    document = json.loads(ended.out)
    assert (document["complete"], document["frames"], document["agreement"]) == (True, 30, None)


def test_files_that_gave_no_frame_are_told(edgebench, gated: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "b.png").write_bytes((tmp_path / "photos" / "a.png").read_bytes()[:50])

    ended = edgebench("latency", "--model", str(gated), "--source", "dir://photos", "--backend", "null")

    assert ended.status == 0
    assert "1 skipped (b.png " in ended.err


@pytest.mark.parametrize("verb", ["latency", "policy"])
def test_a_label_that_is_no_class_is_no_wrong_answer(edgebench, gated: Path, tmp_path: Path, verb: str) -> None:
    write_recorded(tmp_path / "odd.npz", np.zeros((2, 32, 32, 3), np.uint8), labels=np.array([999, 1]), task="toy")

    ended = edgebench(verb, "--model", str(gated), "--source", "recorded://odd.npz")

    assert ended.status == 2
    assert ended.err.endswith("edgebench: label 999 of frame 0 is none of the 43 classes\n")


@pytest.mark.parametrize("words", [("--out", "."), ("--controller", "fixed:11")])
def test_what_is_known_to_fail_opens_no_backend(
    edgebench, gated: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    from edge.backends.null import Null

    Path("here").touch()
    monkeypatch.setattr(Null, "open", lambda *_: pytest.fail("a backend was opened"))

    words = ("--source", "synthetic://gtsrb", "--backend", "null", *words)
    assert edgebench("latency", "--model", str(gated), *words).status == 2


def test_a_picture_that_fails_is_told_in_the_one_document(
    edgebench, gated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.cli import report
    from bench.report.picture import PictureError

    def full(*_: object) -> None:
        raise PictureError("frames.png: the picture cannot be written (No space left on device)")

    monkeypatch.setattr(report, "draw_frames", full)
    words = ("--source", "synthetic://gtsrb", "--frames", "3", "--backend", "null", "--picture", "frames.png", "--json")
    ended = edgebench("latency", "--model", str(gated), *words)

    assert ended.status == 2
    document = json.loads(ended.out)
    assert (document["frames"], document["error"]["code"]) == (3, "picture")


def test_a_run_that_nobody_reads_is_recorded_and_keeps_its_status(gated: Path, tmp_path: Path) -> None:
    words = ["latency", "--model", str(gated), "--source", "synthetic://gtsrb", "--backend", "null"]
    words += ["--frames", "5", "--strict", "--out", "monday"]
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "bench", *words, "--picture", "frames.png"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, stdout=write_end, stderr=write_end, check=False)
    os.close(write_end)

    assert ended.returncode == 1
    assert json.loads((tmp_path / "monday/run.json").read_text())["complete"]
    assert (tmp_path / "frames.png").exists()


class Leaving(Controller):
    """Leaves at the first exit."""

    def wants(self, exit_index: int) -> bool:
        return True


@pytest.mark.parametrize(
    ("bundle", "controller", "checked"),
    [
        ("gated", Controller(), False),
        ("gated", Fixed("1010"), True),
        ("exits", Controller(), False),
        ("exits", Leaving(), True),
    ],
)
def test_the_full_network_is_asked_where_less_may_run(
    request: pytest.FixtureRequest, bundle: str, controller: Controller, checked: bool
) -> None:
    from edge.backends.null import Null, OpenedNull

    class Computing:
        def open(self, models: object, threads: int) -> OpenedNull:
            return Null().open(models, threads)

    models = open_bundle(request.getfixturevalue(bundle))
    contender = open_contender("toy", models, Computing(), controller, threads=1, seed=None)
    assert (contender.reference is not None) is checked
