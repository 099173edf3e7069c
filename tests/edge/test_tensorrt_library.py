"""Which TensorRT, for which GPU, and that every name of its interface that is used exists where it is used."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorrt_double import VERSIONS, dump

from edge.backends.base import BackendError
from edge.backends.tensorrt import library as libraries
from edge.backends.tensorrt.library import Library, check_target, describe_library, find_library
from edge.backends.tensorrt.targets import Device, Machine, choose_target, is_jetson, parse_target

REPOSITORY = Path(__file__).parents[2]

ORIN = Machine(jetson=True, device=Device("Orin", "sm87"))
PC = Machine(jetson=False, device=Device("NVIDIA GeForce RTX 3060", "sm86"))
BARE = Machine(jetson=False, device=None)

# What our variables hold.
OBJECTS = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "config": "IBuilderConfig",
    "parser": "OnnxParser",
    "tensor": "ITensor",
    "timing_cache": "ITimingCache",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "runtime": "Runtime",
}
# What only some versions have; asked for only where it is there.
ONLY_RTX = {"ComputeCapability", "IBuilderConfig.num_compute_capabilities", "IBuilderConfig.set_compute_capability"}
ABSENT = {
    "8.5.3.1": ONLY_RTX | {"NetworkDefinitionCreationFlag.STRONGLY_TYPED"},
    "10.3.0": ONLY_RTX,
    "10.16.1.11": ONLY_RTX,
    "11.4.0.106": ONLY_RTX
    | {"NetworkDefinitionCreationFlag.EXPLICIT_BATCH", "BuilderFlag.FP16", "BuilderFlag.INT8"}
    | {"ICudaEngine.create_execution_context_without_device_memory", "ICudaEngine.device_memory_size"},
}


def used() -> Iterator[tuple[str, str]]:
    """Every (class, member) that the package uses, with TensorRT's enumerations among the classes."""
    for name in ("builder", "library", "contexts", "backend"):
        file = REPOSITORY / "edge" / "backends" / "tensorrt" / f"{name}.py"
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Attribute):
                continue
            holder = node.value
            held = holder.id if isinstance(holder, ast.Name) else getattr(holder, "attr", "").lstrip("_")
            if held in OBJECTS:
                yield OBJECTS[held], node.attr
            if isinstance(holder, ast.Name) and holder.id == "flags":
                yield ("BuilderFlag" if node.attr in ("FP16", "INT8") else "NetworkDefinitionCreationFlag"), node.attr
            if isinstance(holder, ast.Attribute) and isinstance(holder.value, ast.Name) and holder.value.id == "trt":
                yield holder.attr, node.attr


def names() -> set[str]:
    # An engine is also ours, with its plan and what lies at its boundaries.
    ours = {"ICudaEngine.inputs", "ICudaEngine.outputs", "ICudaEngine.plan"}
    return {f"{kind}.{member}" for kind, member in used() if not member.startswith("__")} - ours


def test_the_names_are_found() -> None:
    assert {"Builder.build_serialized_network", "BuilderFlag.TF32", "OnnxParser.parse", "BuilderFlag.FP16"} <= names()
    assert {"IBuilderConfig.get_timing_cache", "ITensor.allowed_formats", "ILogger.ERROR"} <= names()
    assert {"NetworkDefinitionCreationFlag.STRONGLY_TYPED", "NetworkDefinitionCreationFlag.EXPLICIT_BATCH"} <= names()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_name_exists_in_the_versions_of_jetsons(version: str) -> None:
    known = dump(version)
    missing = {
        name for name in names() if name.split(".")[0] in known and name.split(".")[1] not in known[name.split(".")[0]]
    }
    assert missing <= ABSENT[version]
    # Classes that a dump does not list are held against one that does, and against tensorrt_rtx.
    unlisted = {name.split(".")[0] for name in names()} - known.keys()
    assert unlisted <= {"ILogger", "Logger", "OnnxParser", "ITimingCache"}


def test_every_name_exists_in_tensorrt_rtx() -> None:
    module = pytest.importorskip("tensorrt_rtx")
    old = {"NetworkDefinitionCreationFlag.EXPLICIT_BATCH", "BuilderFlag.FP16", "BuilderFlag.INT8"}
    old |= {"ICudaEngine.create_execution_context_without_device_memory", "ICudaEngine.device_memory_size"}
    missing = {name for name in names() if not hasattr(getattr(module, name.split(".")[0]), name.split(".")[1])}
    assert missing <= old


@pytest.mark.parametrize("version", VERSIONS)
def test_every_element_and_layout_has_its_name(version: str) -> None:
    known = dump(version)
    assert {"LINEAR", "HWC8", "CHW4", "CHW32"} <= set(known["TensorFormat"])
    assert {"FLOAT", "HALF", "INT8", "BOOL"} <= set(known["DataType"])


def module(version: str) -> Any:
    """A module as that version is, as far as it is asked what it can do."""
    enumerations = {
        name: SimpleNamespace(**{member: index for index, member in enumerate(dump(version)[name])})
        for name in ("NetworkDefinitionCreationFlag", "BuilderFlag")
    }
    return SimpleNamespace(__version__=version, **enumerations)


@pytest.mark.parametrize(
    ("version", "strongly_typed", "newest_opset", "network_flags", "flags"),
    [
        # EXPLICIT_BATCH is the first flag of 8, STRONGLY_TYPED the second of 10 and the first of 11.
        ("8.5.3.1", False, 17, 1, 1),
        ("10.3.0", True, 20, 2, 0),
        ("10.16.1.11", True, 20, 2, 0),
        ("11.4.0.106", True, 20, 1, 0),
    ],
)
def test_what_a_version_calls_for(
    version: str, strongly_typed: bool, newest_opset: int, network_flags: int, flags: int
) -> None:
    library = describe_library(module(version), "tensorrt")
    assert (library.strongly_typed, library.newest_opset, library.network_flags()) == (
        strongly_typed,
        newest_opset,
        network_flags,
    )
    assert [len(library.precision_flags(precision)) for precision in ("fp32", "fp16", "int8")] == [0, flags, flags]
    assert not library.builds_for_others


def test_too_old() -> None:
    with pytest.raises(BackendError, match=r"tensorrt 8\.4\.1 is too old: edgebench needs 8\.5 or newer"):
        describe_library(SimpleNamespace(__version__="8.4.1"), "tensorrt")


def test_none_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(libraries.importlib, "import_module", missing)
    with pytest.raises(BackendError, match=r"TensorRT \(tensorrt_rtx or tensorrt\) is not installed: .*pip install"):
        find_library(BARE)
    with pytest.raises(BackendError, match=r"TensorRT \(tensorrt\) is not installed: .*apt install python3-libnvinfer"):
        find_library(ORIN)


def test_one_that_is_broken_is_not_taken_for_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ImportError("libnvinfer.so.10: cannot open shared object file")

    monkeypatch.setattr(libraries.importlib, "import_module", broken)
    with pytest.raises(BackendError, match=r"tensorrt_rtx cannot be imported \(libnvinfer.so.10: cannot open"):
        find_library(BARE)


def test_a_jetson_takes_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def import_module(name: str) -> Any:
        asked.append(name)
        return module("10.3.0")

    monkeypatch.setattr(libraries.importlib, "import_module", import_module)
    assert find_library(ORIN).name == "tensorrt"
    assert find_library(PC).name == "tensorrt_rtx"
    assert asked == ["tensorrt", "tensorrt_rtx"]


def test_a_gpu_that_tensorrt_rtx_does_not_know_takes_tensorrt_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    rtx = module("11.4.0.106")
    rtx.ComputeCapability = SimpleNamespace(__members__={"CURRENT": 1, "SM86": 2, "SM89": 3})
    there = {"tensorrt_rtx": rtx, "tensorrt": module("10.3.0")}

    def import_module(name: str) -> Any:
        if name not in there:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return there[name]

    monkeypatch.setattr(libraries.importlib, "import_module", import_module)
    hopper = Machine(jetson=False, device=Device("NVIDIA H100", "sm90"))
    assert [find_library(each).name for each in (hopper, PC, BARE)] == ["tensorrt", "tensorrt_rtx", "tensorrt_rtx"]
    assert find_library(hopper, "sm86").name == "tensorrt_rtx"
    del there["tensorrt"]
    with pytest.raises(BackendError, match=r"tensorrt_rtx .* cannot build for sm90: it knows sm86, sm89"):
        check_target(find_library(hopper), "sm90", hopper)


@pytest.mark.parametrize("text", ["sm86", "SM86", " sm_86 "])
def test_a_target(text: str) -> None:
    assert parse_target(text) == "sm86"


@pytest.mark.parametrize("text", ["", "86", "8.6", "sm", "smXX", "sm1234"])
def test_no_target(text: str) -> None:
    with pytest.raises(BackendError, match="is no compute capability: write sm and its digits, for example sm86"):
        parse_target(text)


@pytest.mark.parametrize(
    ("asked", "machine", "chosen"),
    [(None, ORIN, "sm87"), ("sm87", ORIN, "sm87"), (None, PC, "sm86"), ("sm89", PC, "sm89"), ("sm86", BARE, "sm86")],
)
def test_the_chosen_target(asked: str | None, machine: Machine, chosen: str) -> None:
    assert choose_target(asked, machine) == chosen


@pytest.mark.parametrize(
    ("asked", "machine", "sentence"),
    [
        (None, BARE, "no GPU that CUDA can use was found here"),
        ("sm87", PC, r"engines for sm87 \(Jetson Orin\) can only be built on that board"),
        ("sm72", ORIN, r"engines for sm72 \(Jetson Xavier\) can only be built on that board"),
        ("sm86", ORIN, r"a Jetson builds engines for itself alone \(sm87\): for sm86 run this on a PC"),
    ],
)
def test_a_target_that_cannot_be_built_for(asked: str | None, machine: Machine, sentence: str) -> None:
    with pytest.raises(BackendError, match=sentence):
        choose_target(asked, machine)


def test_a_target_that_the_library_does_not_know() -> None:
    rtx = Library(None, "tensorrt_rtx", "1.7.1", True, 20, ("sm86", "sm89"))
    check_target(rtx, "sm89", PC)
    with pytest.raises(BackendError, match=r"tensorrt_rtx 1\.7\.1 cannot build for sm90: it knows sm86, sm89"):
        check_target(rtx, "sm90", PC)
    full = Library(None, "tensorrt", "10.3.0", True, 20)
    check_target(full, "sm86", PC)
    with pytest.raises(BackendError, match=r"tensorrt 10\.3\.0 builds for the GPU of this machine alone \(sm86\), not"):
        check_target(full, "sm89", PC)


def test_what_is_a_jetson() -> None:
    assert is_jetson("nvidia,p3701-0000\0nvidia,tegra234\0")
    assert not is_jetson("raspberrypi,5-model-b\0brcm,bcm2712\0")
    assert not is_jetson("")


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    importlib.import_module("edge.backends.tensorrt.obtain")
    for file in (REPOSITORY / "edge" / "backends" / "tensorrt").glob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
                assert not {"onnx", "tensorrt", "tensorrt_rtx", "pycuda", "cuda", "torch"} & {
                    name.split(".")[0] for name in imported
                }
