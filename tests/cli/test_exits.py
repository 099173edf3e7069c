"""`edgebench sweep` and `edgebench calibrate` on a toy with early exits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cifar_files import write_noise
from toys import exit_bundle

from bench.records import read_run
from bench.registry import make
from devices.sources.recorded import write_recorded
from edge.bundle import open_bundle, state_calibration
from edge.models import model_folder
from edge.network import Calibration
from edge.preprocess import Preprocessor

FRAMES = 60


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(exit_bundle(tmp_path / "toy", channels=8, classes=3, size=8, exits=3))


@pytest.fixture
def stream(tmp_path: Path) -> str:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (FRAMES, 1, 1, 3)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    write_recorded(tmp_path / "stream.npz", images, labels=generator.integers(0, 3, FRAMES), task="toy")
    return "recorded://stream.npz"


def test_a_sweep_shows_thresholds_beside_what_they_must_beat(edgebench, model: str, stream: str) -> None:
    words = ("sweep", "--model", model, "--source", stream, "--beside", model)
    ended = edgebench(*words)
    assert ended.status == 0
    for piece in (f"{FRAMES} frames, thresholds of confidence", "confidence:0.9", "oracle", "pays from", "to its end"):
        assert piece in ended.out
    assert max(map(len, ended.out.splitlines())) <= 80


def test_a_long_name_stands_in_a_sweep_as_it_is(edgebench, tmp_path: Path, stream: str) -> None:
    folder = exit_bundle(tmp_path / "net", channels=8, classes=3, size=8, exits=3, name="sdn-mobilenet-cifar10")
    shown = edgebench("sweep", "--model", str(folder), "--source", stream).out.splitlines()

    (static,) = (line for line in shown if line.startswith("  sdn-mobilenet-cifar10 to its end "))
    rows = [line for line in shown if line.startswith(("  confidence:", "  oracle"))]
    assert {line.index("%") for line in rows} == {static.index("%")}


def test_the_document_of_a_sweep_holds_together(edgebench, model: str, stream: str, tmp_path: Path) -> None:
    words = ("sweep", "--model", model, "--source", stream, "--thresholds", "0,0.7,1", "--json")
    ended = edgebench(*words, "--picture", "sweep.svg")
    assert ended.status == 0, ended.err
    document = json.loads(ended.out)
    assert document["frames"] == FRAMES
    assert [point["name"] for point in document["points"]] == ["confidence:0", "confidence:0.7", "confidence:1"]
    for point in document["points"]:
        assert sum(point["exits"]) == pytest.approx(1)
        cost_ms = [each["leaving_ms"] for each in document["exits"]]
        assert point["mean_ms"] == pytest.approx(np.dot(point["exits"], cost_ms))
    assert document["points"][0]["exits"] == [1, 0, 0]
    assert document["points"][0]["accuracy"] == document["exits"][0]["accuracy"]
    assert document["static"]["accuracy"] == document["exits"][2]["accuracy"]
    assert document["oracle"]["accuracy"]["value"] >= max(each["accuracy"]["value"] for each in document["exits"])
    assert (tmp_path / "sweep.svg").stat().st_size > 1000


def test_calibrated_thresholds_are_in_the_bundle_and_do_what_was_said(edgebench, model: str, stream: str) -> None:
    before = open_bundle(Path(model)).digest
    words = ("--model", model, "--source", stream, "--costs", "macs", "--target", "latency:0.8")
    ended = edgebench("calibrate", *words, "--name", "quick", "--json")
    assert ended.status == 0, ended.err
    document = json.loads(ended.out)
    bundle = open_bundle(Path(model))
    assert bundle.digest == document["bundle"]["digest"] != before
    calibration = bundle.network.calibrations["quick"]
    assert (calibration.controller, list(calibration.thresholds)) == ("confidence", document["thresholds"])
    assert calibration.more["of"] == before
    assert calibration.more["chosen_on"]["share"] <= 0.8

    run = edgebench("latency", "--model", model, "--source", stream, "--controller", document["use"], "--json")
    assert run.status == 0, run.err
    measured = json.loads(run.out)
    assert measured["controller"] == "confidence:calibrated=quick"
    assert [each["share"] for each in measured["exits"]] == pytest.approx(document["exits"])
    assert measured["accuracy"]["value"] == pytest.approx(document["chosen_on"]["accuracy"]["value"])


def test_thresholds_can_be_calibrated_for_a_time(edgebench, model: str, stream: str) -> None:
    ended = edgebench("calibrate", "--model", model, "--source", stream, "--target", "latency:2s")
    assert ended.status == 0, ended.err
    assert ended.out.startswith("confidence-latency-2000ms for latency:2000ms\n")
    assert " of the time (" in ended.out
    assert list(open_bundle(Path(model)).network.calibrations) == ["confidence-latency-2000ms"]


def test_frames_of_the_training_are_noted(model: str) -> None:
    from bench.cli.calibrate import _seen_in_training

    bundle = open_bundle(model_folder("gusodrop"))
    seen = ("dataset://gtsrb/train", "dataset://gtsrb/tracks?seed=3")
    assert [
        source
        for source in (*seen, "dataset://cifar10/train", "synthetic://gtsrb")
        if _seen_in_training(source, bundle)
    ] == list(seen)


def test_a_run_says_what_was_saved_and_a_report_says_it_again(edgebench, model: str, stream: str) -> None:
    words = ("latency", "--model", model, "--source", stream, "--controller", "confidence:0", "--json")
    run = edgebench(*words, "--out", "run")
    assert run.status == 0, run.err
    document = json.loads(run.out)
    assert document["saved"]["n"] == FRAMES
    assert document["saved"]["low"] <= document["saved"]["value"] <= document["saved"]["high"] < 1
    again = json.loads(edgebench("report", "run", "--json").out)
    assert again["saved"] == document["saved"]
    shown = edgebench("report", "run").out
    assert "time saved" in shown
    assert "heads and decisions paid" in shown
    # Where no exit is asked nothing can be saved.
    assert json.loads(edgebench(*words[:-2], "all", "--json").out)["saved"] is None


def test_calibrated_thresholds_per_exit_can_go_into_a_copy(edgebench, model: str, stream: str) -> None:
    words = ("--model", model, "--source", stream, "--controller", "entropy:fallback=most-confident", "--per-exit")
    ended = edgebench("calibrate", *words, "--target", "loss:0.05", "--costs", "macs", "--out", "copy")
    assert ended.status == 0, ended.err
    assert "use         --controller entropy:calibrated=entropy-loss-0.05,fallback=most-confident\n" in ended.out
    assert max(len(line) for line in ended.out.splitlines() if not line.startswith(("written", "use"))) <= 80
    assert list(open_bundle(Path("copy")).network.calibrations) == ["entropy-loss-0.05"]
    assert not open_bundle(Path(model)).network.calibrations


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--target", "speed:3"), "'speed:3' is not a target"),
        (("--target", "latency:2"), "'2' is out of range for the target latency: give a share above 0"),
        (("--target", "latency:2ms", "--costs", "macs"), "latency:2ms is a time, and --costs macs counts work"),
        (("--target", "latency:1us"), "no threshold reaches latency:0.001ms: even leaving at the first exit takes"),
        (("--target", "accuracy:1"), "no threshold reaches accuracy:1: the best accuracy on these frames is"),
        (("--target", "loss:0.1", "--controller", "confidence:0.9"), "confidence:0.9 has thresholds already"),
        (("--target", "loss:0.1", "--controller", "patience:2"), "patience:2 has 0 controllers with thresholds"),
        (("--target", "loss:0.1", "--out", "."), ". exists already"),
    ],
)
def test_a_calibration_that_cannot_be_is_refused(edgebench, model: str, stream: str, words, sentence: str) -> None:
    ended = edgebench("calibrate", "--model", model, "--source", stream, *words)
    assert (ended.status, ended.out) == (2, "")
    assert sentence in ended.err.splitlines()[-1]


def test_the_test_images_are_refused(edgebench, model: str, tmp_path: Path, monkeypatch) -> None:
    from bench.cli.calibrate import _refuse_test
    from bench.cli.errors import RequestError

    bundle = open_bundle(Path(model))
    for source in ("dataset://gtsrb/test", "dataset://toy/test?seed=3"):
        with pytest.raises(RequestError, match="is what accuracies are measured on"):
            _refuse_test(source, bundle)
    _refuse_test("dataset://toy/train?split=calibration", bundle)


def test_a_network_without_exits_and_a_source_without_labels_are_refused(
    edgebench, gated: Path, model: str, stream: str, tmp_path: Path
) -> None:
    ended = edgebench("sweep", "--model", str(gated), "--source", stream)
    assert "toy-gated has no early exits" in ended.err
    write_recorded(tmp_path / "bare.npz", np.zeros((3, 8, 8, 3), np.uint8))
    ended = edgebench("sweep", "--model", model, "--source", "recorded://bare.npz")
    assert "has no labels of toy" in ended.err


@pytest.mark.parametrize(
    "controller", ["confidence:0.6", "confidence:thresholds=0.5;-", "all+confidence:0", "confidence:calibrated=quick"]
)
def test_a_single_file_answers_as_the_staged_runtime_does(edgebench, model: str, stream: str, controller: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if "calibrated" in controller:
        state_calibration(Path(model), "quick", Calibration("confidence", (0.7, 0.55)))
    words = ("export", model, "--single-file", "one.onnx", "--controller", controller)
    ended = edgebench(*words, "--json")
    assert ended.status == 0, ended.err
    document = json.loads(ended.out)
    session = onnxruntime.InferenceSession("one.onnx", providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == {
        "edgebench.bundle": document["bundle"]["digest"],
        "edgebench.model": "toy-exits",
        "edgebench.controller": document["controller"],
    }
    run = edgebench("latency", "--model", model, "--source", stream, "--controller", controller, "--out", "run")
    assert run.status == 0, run.err
    source, _ = make("sources", stream)
    exits = []
    for frame in source.frames():
        scores, exit_, confidence = session.run(None, {"image": Preprocessor(8, 8)(frame.image)})
        exits.append((int(exit_), int(scores.argmax())))
        assert 1 / 3 <= confidence <= 1
    rows = [row for row in read_run(Path("run")).records if not row.warm_up]
    assert exits == [(row.exit, row.predicted) for row in rows]
    assert "one.onnx exists already" in edgebench(*words).err
    assert edgebench(*words, "--overwrite").out.startswith("one.onnx: toy-exits with ")


@pytest.fixture
def photographed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model for images of which there are twelve."""
    monkeypatch.setenv("EDGEBENCH_DATA", str(write_noise(tmp_path)))
    model = exit_bundle(tmp_path / "net", channels=8, classes=10, size=32, exits=3, data_set="cifar10")
    return str(model)


VERIFY = ("--single-file", "one.onnx", "--controller", "confidence:0.5", "--verify", "--threads", "1")


def test_a_single_file_is_verified_on_test_images(edgebench, photographed: str) -> None:
    pytest.importorskip("onnxruntime")
    ended = edgebench("export", photographed, *VERIFY)

    assert ended.status == 0, ended.err
    assert ended.err == "comparing with the staged runtime on 12 images\n"
    assert "on 12 test images beside the staged runtime:\n  same exit 100.0%, same answer 100.0%, scores" in ended.out
    assert ended.out.endswith("the file answers as the bundle does\n")
    document = json.loads(edgebench("export", photographed, *VERIFY, "--overwrite", "--json").out)
    verification = document["verification"]
    assert verification.pop("difference") < 1e-5
    assert verification == {"images": 12, "borderline": 0, "exits": 1, "answers": 1, "faithful": True}


def test_a_single_file_that_decides_otherwise_is_found(
    edgebench, photographed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    from export.onnx import nested

    honest = nested.nested
    monkeypatch.setattr(nested, "nested", lambda bundle, thresholds, route: honest(bundle, [None, None], route))
    ended = edgebench("export", photographed, *VERIFY, "--controller", "confidence:0")

    assert ended.status == 1
    assert "same exit 0.0%" in ended.out
    assert "scores apart by at most - of the largest\nTHE FILE DIFFERS FROM THE BUNDLE\n" in ended.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--work", "w"), "--work has no meaning for the writing of a single file. Leave it out."),
        (
            ("--target", "sm86"),
            "--target has no meaning for the writing of a single file. It is for --format tensorrt.",
        ),
        (("--data", "d"), "--data has no meaning for the writing of a single file. Add --verify, or leave it out."),
        (
            ("--threads", "2"),
            "--threads has no meaning for the writing of a single file. Add --verify, or leave it out.",
        ),
        (
            ("--verify",),
            "--verify compares on the test images of toy, which are not part of the project. Name their folder with "
            "--data or EDGEBENCH_DATA.",
        ),
    ],
)
def test_what_a_single_file_would_ignore_is_refused(
    edgebench, model: str, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.delenv("EDGEBENCH_DATA", raising=False)
    ended = edgebench("export", model, "--single-file", "one.onnx", "--controller", "confidence:0.9", *words)
    assert (ended.status, ended.err) == (2, f"edgebench: {sentence}\n")
    assert not Path("one.onnx").exists()


@pytest.mark.parametrize(
    "controller", ["all", "patience:2", "confidence:0.9,fallback=most-confident", "random:0.5+confidence:0.9"]
)
def test_what_a_single_file_cannot_decide_is_refused(edgebench, model: str, controller: str) -> None:
    ended = edgebench("export", model, "--single-file", "one.onnx", "--controller", controller)
    assert ended.status == 2
    assert "cannot be put into a single file" in ended.err
    assert ended.err.endswith("Write for example --controller confidence:0.9.\n")
    assert "Name either --out or --single-file" in edgebench("export", model).err
