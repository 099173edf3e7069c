"""`edgebench export --format tensorrt`: what it prints, and what it refuses in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge.backends.tensorrt import obtain as obtaining
from edge.backends.tensorrt.targets import Device, Machine
from edge.bundle import open_bundle

ORIN = Machine(jetson=True, device=Device("Orin", "sm87"))
BARE = Machine(jetson=False, device=None)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(obtaining, "read_machine", lambda: BARE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def rtx() -> None:
    pytest.importorskip("tensorrt_rtx", reason="install tensorrt-rtx-cu13 to build engines")


@pytest.mark.usefixtures("rtx")
def test_engines_are_built_and_then_there(edgebench, calibrated: Path, tmp_path: Path) -> None:
    words = ["export", str(calibrated), "--format", "tensorrt", "--precision", "int8", "--target", "sm86"]
    built = edgebench(*words, "--route", "1111", "--json")
    assert built.status == 0
    document = json.loads(built.out)
    bundle = open_bundle(calibrated)
    count = len(bundle.network.stages) + len(bundle.network.exits)
    assert (document["built"], len(document["engines"]), document["precision"]) == (count, count, "int8")
    assert document["bundle"]["digest"] == bundle.digest
    stem = document["engines"][0]
    assert (stem["name"], stem["inputs"][0]["element"], stem["outputs"][0]["layout"]) == ("stem", "float32", "CHW4")
    assert f"engines {count}/{count}" in built.err

    again = edgebench(*words)
    assert (again.status, again.err) == (0, "")
    lines = again.out.splitlines()
    assert lines[0].startswith(f"{bundle.name} in int8 for sm86: {len(bundle.network.stages)} engines, ")
    assert lines[0].endswith(f"; 0 built now, {len(bundle.network.stages)} were there")
    assert lines[2].split()[:1] == ["stem"]
    assert lines[2].endswith("float32 LINEAR 1x3x16x16  int8 CHW4 1x16x16x16")

    (engine,) = (tmp_path / "cache").glob("edgebench/tensorrt/*/head0.engine")
    engine.write_bytes(engine.read_bytes()[:-1])
    repaired = edgebench(*words)
    assert repaired.status == 0
    assert "1 engine is built anew: it is cut off" in repaired.err.splitlines()


@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--target", "sm90"], "cannot build for sm90: it knows sm75, sm80, sm86, sm89"),
        (["--precision", "int8", "--target", "sm86"], "cannot run in int8: stage stem states no ranges"),
        (["--target", "sm86", "--route", "11"], "route '11' does not fit: this network has 4 gates"),
    ],
)
def test_what_cannot_be_built(edgebench, gated: Path, words: list[str], sentence: str) -> None:
    ended = edgebench("export", str(gated), "--format", "tensorrt", *words)
    assert (ended.status, ended.out) == (2, "")
    assert sentence in ended.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "no GPU that CUDA can use was found here"),
        (["--target", "sm87"], "engines for sm87 (Jetson Orin) can only be built on that board"),
        (["--target", "ampere"], "target 'ampere' is no compute capability"),
        (["--target", "sm86", "--out", "engines"], "--out has no meaning with --format tensorrt"),
        (["--target", "sm86", "--single-graph", "7"], "7 lies outside [0, 1]"),
        (["--precision", "fp8"], "invalid choice: 'fp8'"),
    ],
)
def test_what_is_refused_without_tensorrt_too(edgebench, gated: Path, words: list[str], sentence: str) -> None:
    ended = edgebench("export", str(gated), "--format", "tensorrt", *words)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert sentence in ended.err


def test_on_a_jetson_without_its_tensorrt(edgebench, gated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obtaining, "read_machine", lambda: ORIN)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    ended = edgebench("export", str(gated), "--format", "tensorrt")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "tensorrt" in ended.err
    assert "sudo apt install python3-libnvinfer" in ended.err


def test_no_such_model(edgebench) -> None:
    ended = edgebench("export", "nothing", "--format", "tensorrt", "--json")
    assert ended.status == 2
    assert json.loads(ended.out)["error"]["code"] == "bundle"


def test_a_bundle_still_needs_a_folder(edgebench) -> None:
    ended = edgebench("export", "gusodrop-gtsrb")
    assert ended.status == 2
    assert "Name either --out or --single-file." in ended.err


def test_building_imports_no_torch() -> None:
    modules = "bench.cli.engines, edge.backends.tensorrt.obtain, export.onnx.nested"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
