"""The benchmark of exits: that what it measures stops where it says, and what it decides from times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import toys

from benchmarks.exits import ExitTax, StopsAt, cut_with_heads, judge, table
from benchmarks.gating.turns import Tax
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.process import this_process
from edge.bundle import open_bundle
from edge.runtime import Runtime

ROOT = Path(__file__).parents[2]


def tax(ratio: float) -> Tax:
    return Tax(ratio, None, None, 50, 1000.0)


def test_the_cut_graph_gives_what_a_frame_gives_that_leaves_there(exits: Path) -> None:
    bundle = open_bundle(exits)
    threads = this_process().threads or 1
    backend = OnnxRuntime(cache=False).open(bundle, threads)
    found = []
    for index in range(3):
        for every in (False, True):
            answer = Runtime(bundle.network, backend, StopsAt(index, every)).infer(toys.image())
            assert answer.exit == index
            found.append(answer.scores)
        cut = cut_with_heads(bundle, index, threads)(toys.image())
        np.testing.assert_allclose(cut, found[-1], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[-2], found[-1], rtol=1e-4, atol=1e-5)
    assert not np.allclose(found[1], found[3])


def test_asking_on_the_way_asks_every_exit_before() -> None:
    assert [StopsAt(2, True).wants(index) for index in range(4)] == [True, True, True, False]
    assert [StopsAt(2, False).wants(index) for index in range(4)] == [False, False, True, False]


def test_limits_hold_or_are_broken_by_name() -> None:
    def row(network: str, index: int, asked: float) -> ExitTax:
        return ExitTax(network, 2, index, tax(1.0), tax(asked), tax(1.2), tax(1.0), tax(1.0), tax(1.01))

    fine = [row("toy", index, 1.01 + index / 100) for index in range(3)]
    assert all(verdict.holds for verdict in judge(fine))
    broken = judge([*fine, row("other", 5, 1.06)])
    assert [verdict.figure for verdict in broken if not verdict.holds] == [
        "asked, worst (exit 5 of other, 2 thread(s))"
    ]
    figures = list(table(fine))[2].split()
    assert figures[:4] == ["toy", "2", "t", "exit"]
    assert figures[5:] == ["1000", "1.000", "1.020", "+20", "1.200", "1.000", "1.000", "1.010"]


@pytest.mark.slow
def test_one_command_measures_and_writes(exits: Path, tmp_path: Path) -> None:
    file = tmp_path / "exits.json"
    command = [sys.executable, "-m", "benchmarks.exits", "--models", str(exits), "--threads", "1", "--pairs", "2"]
    ran = subprocess.run([*command, "--json", str(file)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    document = json.loads(file.read_text())
    assert [row["exit"] for row in document["exits"]] == [0, 1, 2]
    assert len(document["verdicts"]) == 8
    assert ran.stdout.count("exit ") >= 3
