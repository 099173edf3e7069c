"""Every command that README shows is run, on fewer frames and smaller trainings where it would take long."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorrt_double import install

from edge.models import shipped

ROOT = Path(__file__).parents[2]
COMMANDS = [
    line.removeprefix("$ ").partition("#")[0].strip()
    for block in re.findall(r"^```console\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]


def test_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 10


@pytest.fixture
def photos(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photos" / "one.png")


ON_A_GPU = [command for command in COMMANDS if "tensorrt" in command]
TRAININGS = [
    command
    for command in COMMANDS
    if command.startswith(("edgebench train", "edgebench export")) and command not in ON_A_GPU
]
WITH_CAMERA = [command for command in COMMANDS if "camera://" in command]
QUICK = [command for command in COMMANDS if command not in (*TRAININGS, *WITH_CAMERA, *ON_A_GPU)]


@pytest.mark.parametrize("command", QUICK)
@pytest.mark.usefixtures("photos")
def test_a_command_of_readme_works(edgebench, tmp_path: Path, command: str) -> None:
    _, verb, *words = shlex.split(command)
    if "--strict" in words:
        words.remove("--strict")  # what it says depends on who else is on the machine
    if "--frames" in words:
        words[words.index("--frames") + 1] = "30"
    elif verb in ("latency", "policy"):
        words += ["--frames", "30"]
    if "recorded://clip" in words:
        assert edgebench("record", "--source", "synthetic://gtsrb", "--frames", "30", "--out", "clip").status == 0
    if verb in ("attack", "robustness"):
        pytest.importorskip("torch")
    if verb == "robustness":
        words += ["--images", "2", "--eps", "0,8", "--method", "pgd:steps=2", "--checks", "none"]
    if "recorded://s.npz" in words:
        pytest.importorskip("torch")
        assert (
            edgebench("attack", "--model", "gusodrop", "--method", "fgsm", "--frames", "4", "--out", "s.npz").status
            == 0
        )
    if verb == "report":
        assert edgebench("latency", "--model", "gusodrop", "--frames", "30", "--out", "RUN").status == 0
    ended = edgebench(verb, *words)
    assert (ended.status, ended.out != "") == (0, True), ended.err
    for picture in re.findall(r"--picture (\S+)", command):
        assert (tmp_path / picture).stat().st_size > 10_000


@pytest.mark.parametrize("command", ON_A_GPU)
def test_a_command_of_readme_for_a_gpu_works_on_doubles(
    edgebench, calibrated: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch)
    _, verb, *words = shlex.split(command)
    # A toy, since the shipped network has 256 routes to walk on the processor.
    words = [str(calibrated) if word == "gusodrop" else word for word in words]
    words += ["--model", str(calibrated), "--images", "1"] if verb == "selftest" else []
    ended = edgebench(verb, *words)
    assert (ended.status, ended.out != "") == (0, True), ended.err


@pytest.mark.skipif(Path("/dev/video0").exists(), reason="there is a camera, and it may be anybody's")
@pytest.mark.parametrize("command", WITH_CAMERA)
def test_without_a_camera_a_command_of_readme_asks_for_one(edgebench, command: str) -> None:
    pytest.importorskip("av")
    ended = edgebench(*shlex.split(command)[1:])
    assert ended.status == 2
    assert "camera 0 is not there" in ended.err


@pytest.mark.data
@pytest.mark.torch
@pytest.mark.slow
def test_the_trainings_of_readme_work(edgebench, data_folder: Path) -> None:
    pytest.importorskip("torch")
    assert len(TRAININGS) == 3
    for command in TRAININGS:
        _, verb, *words = shlex.split(command.replace("--data DATA", f"--data {data_folder}"))
        # One core, as all the tests of this process: ONNX Runtime settles on its threads once.
        words += ["--threads", "1", *(["--quick"] if verb == "train" else [])]
        ended = edgebench(verb, *words)
        assert (ended.status, ended.out != "") == (0, True), ended.err


def test_the_output_that_readme_shows_is_of_the_shipped_model() -> None:
    text = (ROOT / "README.md").read_text()
    assert "gusodrop on synthetic://gtsrb" in text
    assert {"gusodrop", "resnet18"} <= set(shipped())
