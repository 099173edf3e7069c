"""The number of threads belongs to a process, so each test has one of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.backends.base import BackendError
from edge.backends.onnxruntime.process import this_process
from edge.cores import usable_cores

ROOT = Path(__file__).parents[2]

TWO_THREADS = """
import sys
from pathlib import Path
import numpy as np
import psutil
from edge.backends.base import BackendError
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import open_bundle

bundle = open_bundle(Path(sys.argv[1]))
network = bundle.network
image = np.random.default_rng(0).random((1, 3, 32, 32), np.float32)
model = OnnxRuntime().open(bundle, threads=2)
threads = psutil.Process().num_threads()
baseline = OnnxRuntime(plan="staged").open(bundle, threads=2)
assert model.describe()["plan"] == "fused", model.describe()
assert model.describe()["threads"] == "2"
executables = []
for route in ("1111", "0000", "1010"):
    segment = network.segment(route, 0, 0)
    executables += [model.compile(segment), baseline.compile(segment)]
    scores, expected = (executable.run(image)[1] for executable in executables[-2:])
    assert np.abs(scores - expected).max() < 2e-5
# One pool for all sessions: none brings threads of its own.
assert psutil.Process().num_threads() == threads, (psutil.Process().num_threads(), threads)
try:
    OnnxRuntime().open(bundle, threads=1)
except BackendError as error:
    print(error)
"""


@pytest.mark.skipif(usable_cores() < 2, reason="needs two cores")
def test_two_threads_are_one_pool_for_all_sessions(gated: Path) -> None:
    command = [sys.executable, "-c", TWO_THREADS, str(gated)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "onnxruntime already runs with 2 threads in this process and cannot change to 1: use the same number for every "
        "network, or measure in separate runs\n"
    )


def test_no_warning_of_an_optimised_graph(gated: Path) -> None:
    """ONNX Runtime warns that the graph it writes fits this machine alone, which is what it is written for."""
    script = (
        "import sys; from pathlib import Path; from edge.bundle import open_bundle; "
        "from edge.backends.onnxruntime.backend import OnnxRuntime; "
        "OnnxRuntime().open(open_bundle(Path(sys.argv[1])), threads=1)"
    )
    command = [sys.executable, "-c", script, str(gated)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "")
    assert "optimized model" not in done.stderr


@pytest.mark.parametrize("threads", [0, -1, usable_cores() + 1, 100_000])
def test_more_threads_than_cores_or_none_are_refused(threads: int) -> None:
    with pytest.raises(BackendError, match=f"give 1 to {usable_cores()}, the cores it may use"):
        this_process().use(threads)
