"""How long a user waits: for `--help`, and from starting the command to the first frame classified.

    python -m benchmarks.startup --model gusodrop

Prints one table: minimum, median and maximum of fresh processes.  Status 1 where a median breaks its limit.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine_lines
from benchmarks.verdicts import at_most, verdict_lines
from devices.boards.detection import detect

HELP_MS, FIRST_FRAME_MS = 300.0, 1500.0
COMMAND = [sys.executable, "-m", "bench"]


def help_ms() -> float:
    began = time.monotonic_ns()
    subprocess.run([*COMMAND, "--help"], check=True, capture_output=True)
    return (time.monotonic_ns() - began) / 1e6


def first_class_ms(model: str) -> float:
    """From the start of the process to the first frame's scores, both on the system's monotonic clock."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        began = time.monotonic_ns()
        command = [*COMMAND, "latency", "--model", model, "--frames", "1", "--out", str(run)]
        subprocess.run(command, check=True, capture_output=True)
        with open(run / "frames.csv", newline="") as file:
            first = next(csv.DictReader(file))
    spans = ("arrival_ns", "preprocess_ns", "inference_ns")
    return (sum(int(first[span]) for span in spans) - began) / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="gusodrop")
    parser.add_argument("--runs", type=int, default=9)
    arguments = parser.parse_args()
    print("\n".join(machine_lines(detect().environment())))
    verdicts = []
    print(f"{arguments.runs} fresh processes each{'':17} min  median     max")
    for name, measured, limit_ms in (
        ("edgebench --help", help_ms, HELP_MS),
        ("first frame classified", lambda: first_class_ms(arguments.model), FIRST_FRAME_MS),
    ):
        measured()  # fills the page cache
        times = [measured() for _ in range(arguments.runs)]
        print(f"{name:34} {min(times):7.0f} {statistics.median(times):7.0f} {max(times):7.0f} ms")
        verdicts.append(at_most(f"{name}, median", statistics.median(times), limit_ms, ".0f", " ms"))
    print("\n".join(verdict_lines(verdicts)))
    return 0 if all(verdict.holds for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
