"""The CUDA layer through the real pycuda and cuda-python, on a driver that runs on the processor."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from toys import both_bundle

TESTS = Path(__file__).parents[1]
FOLDER = Path(os.environ.get("EDGEBENCH_CUDA_DRIVER", Path(sys.prefix, "cuda-driver")))
KERNELS = TESTS.parent / "edge" / "backends" / "cuda" / "decide.cu"

needs_driver = pytest.mark.skipif(
    find_spec("pycuda") is None or not (FOLDER / "libcuda.so.1").is_file(),
    reason=f"no pycuda, or no driver in {FOLDER}: run make cuda-driver (it needs g++ and cuda.h)",
)
CASES = [
    "routes",
    "routes, asleep",
    "routes without graphs",
    "exits",
    "exits, speculative",
    "exits, measured",
    "decided",
    "memory",
    "fault",
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return both_bundle(tmp_path_factory.mktemp("bundle") / "both", blocks=3, channels=8)


@needs_driver
@pytest.mark.parametrize("integrated", ["0", "1"], ids=["discrete", "integrated"])
def test_on_a_driver_without_a_gpu(bundle, integrated):
    ended = subprocess.run(
        [sys.executable, str(TESTS / "cuda_driver" / "program.py"), str(bundle), integrated],
        env={
            **os.environ,
            "LD_LIBRARY_PATH": str(FOLDER),
            "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]),
        },
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.stdout.splitlines() == CASES, ended.stderr


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
def test_the_kernels_compile_for_orin(tmp_path):
    words = ["nvcc", "-arch=sm_87", "-cubin", str(KERNELS), "-o", str(tmp_path / "decide.cubin")]
    subprocess.run(words, check=True, capture_output=True)
