"""How long a user waits: for `--help`, and from starting the command to the first frame classified.

    python benchmarks/startup.py --model gusodrop

Prints one table: minimum, median and maximum of fresh processes.
"""

from __future__ import annotations

import argparse
import csv
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="gusodrop")
    parser.add_argument("--runs", type=int, default=9)
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {date.today()}")
    print(f"{arguments.runs} fresh processes each{'':17} min  median     max")
    for name, measured in (
        ("edgebench --help", help_ms),
        ("first frame classified", lambda: first_class_ms(arguments.model)),
    ):
        measured()  # fills the page cache
        times = [measured() for _ in range(arguments.runs)]
        print(f"{name:34} {min(times):7.0f} {statistics.median(times):7.0f} {max(times):7.0f} ms")


if __name__ == "__main__":
    main()
