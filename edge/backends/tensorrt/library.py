"""TensorRT as it is installed: which of its two packages, which version, and what differs between versions.

A Jetson brings its own `tensorrt` (8.5 with JetPack 5.1, 8.6 and 10.3 with 6, 10.13 to 11.4 with 7); anywhere else
`tensorrt_rtx` can be had from the package registry.  Both have the same interface.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import Any

from edge.backends.base import BackendError
from edge.backends.tensorrt.engines import Precision
from edge.backends.tensorrt.targets import Machine

OLDEST = (8, 5)

_ON_A_JETSON = (
    "install it with sudo apt install python3-libnvinfer, and make the virtual environment with --system-site-packages"
)
_ELSEWHERE = "install it with pip install tensorrt-rtx-cu13"


@dataclass(frozen=True, slots=True)
class Library:
    """The imported module, its name and version, and what that version calls for.

    With `strongly_typed` a network's types are those of its ONNX graph; without, which is all there is before 10, flags
    allow the builder to use the types that the graph already has.  `newest_opset` is the newest that its parser reads.
    """

    module: Any
    name: str
    version: str
    strongly_typed: bool
    newest_opset: int
    # Of tensorrt_rtx, which builds for GPUs that are not there.
    targets: tuple[str, ...] = ()

    @property
    def builds_for_others(self) -> bool:
        return bool(self.targets)

    def network_flags(self) -> int:
        """The argument of `create_network`."""
        flags = self.module.NetworkDefinitionCreationFlag
        return 1 << int(flags.STRONGLY_TYPED if self.strongly_typed else flags.EXPLICIT_BATCH)

    def precision_flags(self, precision: Precision) -> list[Any]:
        """What must be set for a builder to use the types that the graph has."""
        if self.strongly_typed or precision == "fp32":
            return []
        flags = self.module.BuilderFlag
        return [flags.FP16 if precision == "fp16" else flags.INT8]


def find_library(machine: Machine, target: str | None = None) -> Library:
    """The TensorRT to use on this machine, for a target: on a PC `tensorrt_rtx`, or `tensorrt` for GPUs it knows not.

    Raises:
        BackendError: none is installed, it cannot be imported, or it is too old.
    """
    names = ("tensorrt",) if machine.jetson else ("tensorrt_rtx", "tensorrt")
    target = target or (machine.device.target if machine.device is not None else None)
    first: Library | None = None
    for name in names:
        module = _import(name, machine)
        if module is None:
            continue
        library = describe_library(module, name)
        if not library.builds_for_others or target is None or target in library.targets:
            return library
        first = first or library
    if first is not None:
        # That it does not know the target is said where the target is checked.
        return first
    raise BackendError(f"TensorRT ({' or '.join(names)}) is not installed: {_advice(machine)}")


def describe_library(module: Any, name: str) -> Library:
    """What a version calls for.

    Raises:
        BackendError: it is too old.
    """
    version = str(module.__version__)
    if name == "tensorrt" and _release(version) < OLDEST:
        raise BackendError(
            f"{name} {version} is too old: edgebench needs {'.'.join(map(str, OLDEST))} or newer, on a Jetson JetPack "
            "5.1 or newer"
        )
    strongly_typed = hasattr(module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")
    capabilities = getattr(module, "ComputeCapability", None)
    targets = sorted(getattr(capabilities, "__members__", {}), key=lambda capability: (len(capability), capability))
    return Library(
        module,
        name,
        version,
        strongly_typed,
        # What came with opset 18, as the axes of a ReduceMean, is read wrongly by parsers from before TensorRT 10.
        20 if strongly_typed else 17,
        tuple(target.lower() for target in targets if target.startswith("SM")),
    )


def check_target(library: Library, target: str, machine: Machine) -> None:
    """Refuse a target that this library cannot build for.

    Raises:
        BackendError: it cannot.
    """
    here = None if machine.device is None else machine.device.target
    if library.builds_for_others:
        if target not in library.targets:
            raise BackendError(
                f"{library.name} {library.version} cannot build for {target}: it knows {', '.join(library.targets)}; "
                "for other GPUs install the package tensorrt where the GPU is, and run this there"
            )
    elif target != here:
        raise BackendError(
            f"{library.name} {library.version} builds for the GPU of this machine alone ({here or 'none was found'}), "
            f"not for {target}: run this where the GPU is, or {_ELSEWHERE}"
        )


def _import(name: str, machine: Machine) -> Any | None:
    """The module, or None where it is not installed; one that is there and broken is an error."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            return None
        raise BackendError(f"{name} cannot be imported ({error}): {_advice(machine)}") from error


def _advice(machine: Machine) -> str:
    return _ON_A_JETSON if machine.jetson else _ELSEWHERE


def _release(version: str) -> tuple[int, int]:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return (int(numbers[1]), int(numbers[2])) if numbers else OLDEST


def is_about_memory(line: str) -> bool:
    """Whether an error that TensorRT logged says that there is too little memory."""
    return "out of memory" in line.lower() or "cudaErrorMemoryAllocation" in line


def listener(trt: Any, heard: list[str]) -> Any:
    """A logger that keeps errors instead of printing them.

    TensorRT has no other way to say why it failed.
    """

    class Listener(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                heard.append(message.strip().splitlines()[0] if message.strip() else "")

    return Listener()
