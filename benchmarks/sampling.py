"""What the power sampler costs beside a run: its own time, and how much slower the measured work becomes.

    python benchmarks/sampling.py --pairs 100

A tree of files with three rails in volts and amperes read every 10 ms, ten thermometers and twelve clocks stands in for
a board.  The work is a matrix product on one thread.  The sampler is stopped and let go on in turn (A B, B A, ...), so
that drift hits both alike.  Prints one table.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import tempfile
import time
from datetime import date
from pathlib import Path

# Before numpy is imported: the work must not spread over the sampler's core.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from bench.energy import EnergyObserver, read_power
from bench.statistics.bootstrap import reduction_estimate, resampling_generator
from devices.boards.jetson import Jetson
from devices.boards.machine import Machine

PERIOD_S = 0.01
RAILS = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")


def make_board(folder: Path) -> None:
    """The files of a board as large as an AGX Orin."""
    chip = folder / "sys/class/hwmon/hwmon0"
    chip.mkdir(parents=True)
    (chip / "name").write_text("ina3221\n")
    (chip / "update_interval").write_text(f"{PERIOD_S * 1e3:.0f}\n")
    for channel, name in enumerate(RAILS, 1):
        (chip / f"in{channel}_label").write_text(f"{name}\n")
        (chip / f"in{channel}_input").write_text("5032\n")
        (chip / f"curr{channel}_input").write_text("488\n")
    for number in range(10):
        zone = folder / f"sys/class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "type").write_text(f"zone{number}\n")
        (zone / "temp").write_text("45750\n")
    for number in range(12):
        core = folder / f"sys/devices/system/cpu/cpu{number}/cpufreq"
        core.mkdir(parents=True)
        (core / "scaling_cur_freq").write_text("1510400\n")


def work(milliseconds: float, matrix: np.ndarray) -> tuple[float, float]:
    """A piece of work, repeated for so long: milliseconds that pass for one, and that it computes."""
    pieces, began, computed = 0, time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - began) < milliseconds / 1e3:
        matrix @ matrix
        pieces += 1
    return passed / pieces * 1e3, (time.process_time() - computed) / pieces * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--milliseconds", type=float, default=200.0, help="of work with and without the sampler")
    arguments = parser.parse_args()
    matrix = np.random.default_rng(0).random((160, 160), dtype=np.float32)
    times: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_board(folder)
        (folder / "run").mkdir()
        observer = EnergyObserver(Jetson(Machine(folder)).power_meters, root=folder)
        observer.start(folder / "run")
        sampler = observer.process_id
        if sampler is None:
            raise SystemExit(observer.problem)
        work(1000, matrix)
        for pair in range(arguments.pairs):
            for sampled in (True, False) if pair % 2 else (False, True):
                os.kill(sampler, signal.SIGCONT if sampled else signal.SIGSTOP)
                times[sampled].append(work(arguments.milliseconds, matrix))
        os.kill(sampler, signal.SIGCONT)
        time.sleep(5)
        observer.stop()
        record = read_power(folder / "run")
    assert record is not None
    spent = record.traces["sampler/cpu"]
    # The last seconds, in which it ran throughout.
    share = (spent.values[-1] - spent.values[-4]) / (spent.times_ns[-1] - spent.times_ns[-4])
    readings = record.traces[f"jetson/{RAILS[0]}"].times_ns
    steps_ms = np.diff(readings[readings > readings[-1] - 4_000_000_000]) / 1e6
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {date.today()}")
    print(f"{len(RAILS)} rails every {PERIOD_S * 1e3:.0f} ms, 10 thermometers and 12 clocks every second")
    print(f"{'the sampler itself':36} {share:8.2%} of one core")
    clocks = ("the work beside it, time that passes", "the work beside it, time of its core")
    for clock, sampled, alone in zip(clocks, np.transpose(times[True]), np.transpose(times[False]), strict=True):
        slower = reduction_estimate(sampled, alone, resampling_generator())
        if slower is not None:
            interval = f"{-slower.high:+.2%} to {-slower.low:+.2%}"
            print(f"{clock:36} {-slower.value:+8.2%} ({interval}, {slower.n} pairs)")
    print(f"{'from reading to reading, p50, p99':36} {np.median(steps_ms):8.2f} {np.quantile(steps_ms, 0.99):8.2f} ms")


if __name__ == "__main__":
    main()
