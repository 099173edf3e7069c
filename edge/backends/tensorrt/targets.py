"""The GPUs that engines are built for, by compute capability, and which of them this machine has."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.backends.base import BackendError

# The boards whose engines come from their own TensorRT: no package builds these anywhere else.
JETSONS = {"sm53": "Nano", "sm62": "TX2", "sm72": "Xavier", "sm87": "Orin", "sm101": "Thor", "sm110": "Thor"}

_TARGET = re.compile(r"sm_?(\d{2,3})")
_COMPATIBLE = Path("/proc/device-tree/compatible")
# Of the driver's interface (cuda.h).
_SUCCESS, _CAPABILITY_MAJOR, _CAPABILITY_MINOR = 0, 75, 76


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU: its name as the driver gives it ("Orin") and its compute capability ("sm87")."""

    name: str
    target: str


@dataclass(frozen=True, slots=True)
class Machine:
    """Whether this is a Jetson, and its first GPU, None where there is none that CUDA can use."""

    jetson: bool
    device: Device | None


def parse_target(text: str) -> str:
    """`sm86` from "sm86", "SM86" or "sm_86".

    Raises:
        BackendError: it is none of these.
    """
    found = _TARGET.fullmatch(text.strip().lower())
    if found is None:
        raise BackendError(f"target {text!r} is no compute capability: write sm and its digits, for example sm86")
    return f"sm{found[1]}"


def choose_target(asked: str | None, machine: Machine) -> str:
    """The target to build for: what was asked, or the GPU of this machine.

    Raises:
        BackendError: there is no GPU to build for, or the engines asked for can be built only on another board.
    """
    here = None if machine.device is None else machine.device.target
    if asked is None:
        if here is None:
            raise BackendError(
                "no GPU that CUDA can use was found here to build engines for: install NVIDIA's driver, or name "
                "another machine's GPU, for example --target sm86"
            )
        return here
    target = parse_target(asked)
    if target != here and target in JETSONS:
        raise BackendError(
            f"engines for {target} (Jetson {JETSONS[target]}) can only be built on that board, by its own TensorRT: "
            "run the same command there, without --target"
        )
    if target != here and machine.jetson:
        raise BackendError(
            f"a Jetson builds engines for itself alone ({here or 'its GPU was not found'}): for {target} run this on a "
            "PC with tensorrt_rtx"
        )
    return target


def read_machine() -> Machine:
    """What this machine is; asks the device tree and the CUDA driver, and loads nothing else."""
    return Machine(is_jetson(_read(_COMPATIBLE)), _first_device())


def is_jetson(compatible: str) -> bool:
    """Whether the device tree's list of compatible hardware is a Jetson's (`nvidia,tegra234`, ...)."""
    return "nvidia,tegra" in compatible


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def _first_device() -> Device | None:
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    if cuda.cuInit(0) != _SUCCESS or cuda.cuDeviceGet(ctypes.byref(device), 0) != _SUCCESS:
        return None
    if cuda.cuDeviceGetName(name, len(name), device) != _SUCCESS:
        return None
    capability = [_attribute(cuda, number, device) for number in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR)]
    if None in capability:
        return None
    return Device(name.value.decode(errors="replace"), "sm{}{}".format(*capability))


def _attribute(cuda: Any, number: int, device: ctypes.c_int) -> int | None:
    value = ctypes.c_int()
    return value.value if cuda.cuDeviceGetAttribute(ctypes.byref(value), number, device) == _SUCCESS else None
