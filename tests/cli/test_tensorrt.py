"""`--backend tensorrt` through the whole program, on a TensorRT and a CUDA device that are doubles."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from cuda_double import DoubleDevice
from tensorrt_double import Faults, install

from edge.backends.cuda import pycuda_device
from edge.backends.tensorrt import backend
from edge.backends.tensorrt.targets import Device, Machine

NO_GPU = Machine(jetson=False, device=None)
PC = Machine(jetson=False, device=Device("NVIDIA GeForce RTX 3060", "sm86"))
WORDS = ("--backend", "tensorrt", "--source", "synthetic://gtsrb", "--out", "run", "--frames")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Make packages ones that are not installed."""
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)


def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, machine=NO_GPU)


def no_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, machine=PC)
    without(monkeypatch, "tensorrt", "tensorrt_rtx")


def no_tensorrt_on_a_jetson(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    without(monkeypatch, "tensorrt")


def an_old_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    sys.modules["tensorrt"].__version__ = "8.2.1.9"


def no_pycuda(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    monkeypatch.setattr(backend, "open_device", pycuda_device.open_device)
    without(monkeypatch, "pycuda", "pycuda.driver")


def no_memory_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, device=lambda: DoubleDevice(limit_bytes=4096))


def no_memory_for_a_context(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, faults=Faults(no_context=True))


def no_memory_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, faults=Faults(refused_loads=99, words="[executionContext] CUDA error 2: out of memory"))


def no_memory_to_build(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, faults=Faults(no_build=True))


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (no_gpu, "no GPU that CUDA can use was found here: install NVIDIA's driver (on a Jetson look at dmesg)"),
        (no_tensorrt, "not installed: install it with pip install tensorrt-rtx-cu13"),
        (no_tensorrt_on_a_jetson, "install it with sudo apt install python3-libnvinfer"),
        (
            an_old_tensorrt,
            "tensorrt 8.2.1.9 is too old: edgebench needs 8.5 or newer, on a Jetson JetPack 5.1 or newer",
        ),
        (no_pycuda, "pip install pycuda"),
        (no_memory_on_the_device, "for this network's features: stop other programs, or choose a smaller model"),
        (no_memory_for_a_context, "tensorrt has no memory for stem: stop other programs, or choose a smaller model"),
        (no_memory_to_load, "tensorrt has no memory for stem ([executionContext] CUDA error 2: out of memory): stop"),
        (no_memory_to_build, "cannot build stem for sm87 in fp16: [defaultAllocator.cpp] out of memory; free some"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_cannot_be_had_is_one_sentence_and_status_2(
    edgebench, gated: Path, fault, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    for verb in (("latency", *WORDS, "5"), ("selftest", "--backend", "tensorrt")):
        ended = edgebench(verb[0], "--model", str(gated), *verb[1:])
        assert (ended.status, ended.out) == (2, "")
        preparing, said = ended.err.splitlines()
        assert "preparing" in preparing
        assert sentence in said
        assert not Path("run").exists()


def test_engines_of_another_board_are_built_anew_and_the_user_is_told(
    edgebench, gated: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, machine=Machine(jetson=True, device=Device("Orin Nano", "sm87")))
    assert edgebench("export", str(gated), "--format", "tensorrt", "--precision", "fp16").status == 0
    install(monkeypatch)
    ended = edgebench("latency", "--model", str(gated), *WORDS, "5")

    assert ended.status == 0, ended.err
    (remark,) = (line for line in ended.err.splitlines() if "built anew" in line)
    assert remark.endswith("engines are built anew: each was built for another GPU (Orin Nano), and this is Orin")


def test_a_run_has_four_scopes_and_says_how_they_came_to_be(
    edgebench, gated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch)
    ended = edgebench("latency", "--model", str(gated), *WORDS, "80")

    assert ended.status == 0, ended.err
    for scope in ("kernel", "inference", "with-transfers", "capture-to-result"):
        assert scope in ended.out
    found = json.loads(edgebench("report", "run", "--json").out)
    assert all(figures["mean"] for figures in found["latency_ms"].values())
    assert set(found["latency_ms"]) == {"kernel", "inference", "with-transfers", "capture-to-result"}
    details = found["backend_details"]
    assert details.keys() >= {"graphs", "transfers", "wait", "exits", "gates", "precision", "target", "version"}


def test_a_device_that_is_lost_is_status_4_and_the_records_are_kept(
    edgebench, gated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, device=lambda: DoubleDevice(break_at=("launch", 1200)))
    ended = edgebench("latency", "--model", str(gated), *WORDS, "2000")

    assert ended.status == 4
    assert "Double stopped working (an illegal memory access was encountered)" in ended.err
    assert "frames are kept in run." in ended.err
    assert edgebench("report", "run").status == 0


@pytest.mark.parametrize("options", ["", ":precision=int8", ":precision=fp32,exits=speculative,graphs=4"])
def test_the_self_test_passes(edgebench, calibrated: Path, options: str, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    ended = edgebench("selftest", "--backend", f"tensorrt{options}", "--model", str(calibrated), "--images", "1")

    assert ended.status == 0, ended.out
    assert ended.out.endswith("passed\n")
    assert "target: sm87" in ended.out
