"""`edgebench latency` on a device that stops working in the middle of a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from distributions import distribution

PLUGIN = """
from dataclasses import dataclass

from cuda_double import DoubleDevice, DoubleGraphs, session_stages
from edge.backends.cuda.opening import open_network
from edge.backends.cuda.options import CudaOptions


@dataclass
class Doubled:
    '''The CUDA layer on the double, which fails at the N-th launch.'''

    launches: int = 1 << 30

    def open(self, models, threads):
        device = DoubleDevice(break_at=("launch", self.launches))
        options = CudaOptions(exits="host")
        stages = session_stages(models)
        return open_network(models.network, stages, device, options, {"name": "doubled"}, DoubleGraphs())
"""


@pytest.fixture
def doubled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package's backend `doubled:N`."""
    distribution(tmp_path, "doubles", "[edgebench.backends]\ndoubled = doubles:Doubled\n", doubles=PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "doubles", raising=False)


WORDS = ("--source", "synthetic://gtsrb", "--out", "run", "--json")


def test_a_lost_device_is_status_4_and_the_records_are_kept(edgebench, gated: Path, doubled: None) -> None:
    # Warm-up runs the first frame at most 400 times, with a launch for the policy and one for the route.
    ended = edgebench("latency", "--model", str(gated), "--backend", "doubled:1200", "--frames", "2000", *WORDS)

    assert ended.status == 4
    document = json.loads(ended.out)
    assert (document["complete"], document["error"]["code"]) == (False, "device")
    assert 0 < document["frames"] < 700
    assert "Double stopped working (an illegal memory access was encountered)" in ended.err
    assert ended.err.endswith(f"The records of {document['frames']:,} frames are kept in run.\n")
    assert edgebench("report", "run").status == 0


def test_a_device_adds_its_scopes_and_state(edgebench, gated: Path, doubled: None) -> None:
    ended = edgebench("latency", "--model", str(gated), "--backend", "doubled", "--frames", "80", *WORDS)

    assert ended.status == 0, ended.err
    document = json.loads(ended.out)
    assert all(document["latency_ms"][scope]["mean"] for scope in ("kernel", "inference", "with-transfers"))
    details = document["backend_details"]
    assert (details["plan"], details["wait"], details["exits"]) == ("fused", "spin", "host")
    assert details["transfers"] == "asynchronous copies of pinned memory"
    assert details["graphs"].startswith("18 of at most 300")
