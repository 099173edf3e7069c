"""Runs a toy network through pycuda and cuda-python on the driver of this folder, held against ONNX Runtime.

    LD_LIBRARY_PATH=FOLDER python program.py BUNDLE INTEGRATED

A stage is a host function that ONNX Runtime computes in.  Prints the name of every case that held.
"""

from __future__ import annotations

import ctypes
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from cuda_double import at, session_stages
from toys import image

from edge.backends.base import BackendError, DeviceLostError
from edge.backends.cuda.bindings_graphs import BindingsGraphs
from edge.backends.cuda.opening import open_network
from edge.backends.cuda.options import CudaOptions
from edge.backends.cuda.pycuda_device import open_device
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import open_bundle
from edge.controllers.composed import Composed
from edge.controllers.confidence import Confidence
from edge.controllers.constant import Fixed
from edge.controllers.gusodrop import GuSoDrop
from edge.randomness import GateRandom
from edge.runtime import Runtime

DRIVER = ctypes.CDLL("libcuda.so.1")
HOST_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class HostStage:
    """A stage that is enqueued as a host function, which a stream runs in its turn and a graph can hold."""

    def __init__(self, stage) -> None:
        self._stage = stage
        self.input_bytes, self.output_bytes = stage.input_bytes, stage.output_bytes
        self.scratch_bytes = 256
        self._functions = []

    def lend(self, scratch: int) -> None:
        at(scratch, self.scratch_bytes)[:] = 0

    def enqueue(self, stream, source: int, target: int) -> None:
        function = HOST_FUNCTION(lambda _: self._stage._compute(source, target))
        self._functions.append(function)
        assert DRIVER.cuLaunchHostFunc(ctypes.c_void_p(stream.handle), function, None) == 0


def opened(bundle, **options):
    options = CudaOptions(**{"exits": "host", **options})
    stages = {name: HostStage(stage) for name, stage in session_stages(bundle).items()}
    return open_network(bundle.network, stages, open_device(options.wait), options, {})


def judge(bundle, controller, seed=None):
    random = GateRandom(seed)
    return Runtime(bundle.network, OnnxRuntime(plan="staged").open(bundle, 1), controller, random=random)


def same(found, wanted) -> None:
    assert (found.route, found.exit) == (wanted.route, wanted.exit), (found, wanted)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)


def routes(bundle, **options) -> None:
    """Every route, as a graph and stage by stage."""
    backend = opened(bundle, **options)
    runtime, expected = Runtime(bundle.network, backend, Fixed("1" * 3)), judge(bundle, Fixed("1" * 3))
    launched = ctypes.c_int.in_dll(DRIVER, "fake_launches")
    for route in ("".join(bits) for bits in product("01", repeat=3)):
        runtime.controller.route = expected.controller.route = route
        for seed in range(2):
            before = launched.value
            found = runtime.infer(image(seed))
            same(found, expected.infer(image(seed)))
            assert launched.value - before == (backend.plan == "fused")
            assert found.timings.device.kernel_ns >= 0
    assert backend.plan == ("chain" if options.get("graphs") == 0 else "fused"), backend.describe()
    runtime.close()


def exits(bundle, **options) -> None:
    backend = opened(bundle, **options)
    controller = Confidence(0.25)
    runtime, expected = Runtime(bundle.network, backend, controller), judge(bundle, Confidence(0.25))
    for seed in range(8):
        same(runtime.infer(image(seed)), expected.infer(image(seed)))


def decided(bundle) -> None:
    """Gates and exits on the device: the kernels of decide.cu, and IF nodes inside IF nodes."""
    # NVRTC is not here; the driver's kernels are the same source, compiled for the host.
    BindingsGraphs._code = lambda self: b""
    runtime = opened(bundle, gates="device").runtime(Composed([GuSoDrop(), Confidence(0.25)]), GateRandom(3))
    expected = judge(bundle, Composed([GuSoDrop(), Confidence(0.25)]), 3)
    paths = set()
    for seed in range(20):
        found = runtime.infer(image(seed))
        same(found, expected.infer(image(seed)))
        paths.add((found.route, found.exit))
    assert len(paths) > 3, paths


def memory(bundle) -> None:
    free = ctypes.c_uint64.in_dll(DRIVER, "fake_free")
    before, free.value = free.value, 1000
    with pytest.raises(BackendError, match="stop other programs"):
        opened(bundle)
    free.value = before


def fault(bundle) -> None:
    """An illegal address (700) in the middle of a run sticks to the context."""
    runtime = Runtime(bundle.network, opened(bundle), Fixed("111"))
    runtime.infer(image())
    fault = ctypes.c_int.in_dll(DRIVER, "fake_fault")
    fault.value = 700
    for _ in range(2):
        with pytest.raises(DeviceLostError, match=r"FakeOrin \(CPU\) stopped working"):
            runtime.infer(image())
    runtime.close()
    fault.value = 0


CASES = {
    "routes": lambda bundle: routes(bundle),
    "routes, asleep": lambda bundle: routes(bundle, wait="block"),
    "routes without graphs": lambda bundle: routes(bundle, graphs=0),
    "exits": lambda bundle: exits(bundle),
    "exits, speculative": lambda bundle: exits(bundle, exits="speculative"),
    "exits, measured": lambda bundle: exits(bundle, exits="measured"),
    "decided": decided,
    "memory": memory,
    "fault": fault,
}

if __name__ == "__main__":
    ctypes.c_int.in_dll(DRIVER, "fake_integrated").value = int(sys.argv[2])
    for name, case in CASES.items():
        case(open_bundle(Path(sys.argv[1])))
        print(name)
