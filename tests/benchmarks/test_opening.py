from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_versions_open_in_turns() -> None:
    command = [sys.executable, "-m", "benchmarks.opening", "--trees", ".", "--rounds", "2"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    row = ran.stdout.splitlines()[-1].split()
    assert row[:2] == ["1", ROOT.name]
    median, low, high, processor = map(float, row[2:])
    assert 0 < low <= median <= high
    assert processor > 0
