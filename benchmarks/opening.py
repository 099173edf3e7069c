"""How long a network takes to open from the cache, for several versions of this package in turns.

    git worktree add /tmp/before v0.1.0
    python -m benchmarks.opening --trees /tmp/before . --rounds 14

Every opening is a process of its own; ONNX Runtime is imported and the cache filled before it is timed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from bench.statistics.quantiles import quantile
from benchmarks.machine import machine_lines
from devices.boards.linux import read_environment
from edge.models import model_folder

_OPEN = """
import sys
from pathlib import Path
from time import perf_counter, process_time
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.process import this_process
from edge.bundle import open_bundle
bundle, threads = open_bundle(Path(sys.argv[1])), int(sys.argv[2])
this_process().use(threads)
began, worked = perf_counter(), process_time()
opened = OnnxRuntime().open(bundle, threads)
print(perf_counter() - began, process_time() - worked, opened.describe()["cache"])
"""


def opening_ms(tree: Path, folder: Path, threads: int) -> tuple[float, float]:
    """Milliseconds of wall and of processor time that the package in `tree` takes to open the bundle in `folder`.

    Raises:
        RuntimeError: it was not loaded from the cache.
    """
    command = [sys.executable, "-c", _OPEN, str(folder), str(threads)]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    ran = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=True)
    wall_s, processor_s, cache = ran.stdout.split()
    if cache != "loaded":
        raise RuntimeError(f"{tree} did not load {folder.name} from the cache: {cache}")
    return float(wall_s) * 1e3, float(processor_s) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.opening", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--trees", type=Path, nargs="+", default=[Path()], metavar="FOLDER", help="checkouts of this package")
    add("--model", default="gusodrop", metavar="NAME_OR_FOLDER")
    add("--threads", type=int, default=1)
    add("--rounds", type=int, default=14, help="openings of each")
    arguments = parser.parse_args()
    trees, folder = [tree.resolve() for tree in arguments.trees], model_folder(arguments.model).resolve()
    for tree in trees:
        # Fills the cache, where this version has another than the one before.
        subprocess.run(
            [sys.executable, "-c", _OPEN, str(folder), str(arguments.threads)],
            cwd=tree,
            capture_output=True,
            check=True,
        )
    times: dict[Path, list[tuple[float, float]]] = {tree: [] for tree in trees}
    for _ in range(arguments.rounds):
        for tree in trees:
            times[tree].append(opening_ms(tree, folder, arguments.threads))
    print("\n".join(machine_lines(read_environment())))
    print(f"\n{'ms to open ' + folder.name:40}{'median':>9}{'q10':>9}{'q90':>9}{'processor':>12}")
    for number, tree in enumerate(trees, start=1):
        wall, processor = zip(*times[tree], strict=True)
        row = (quantile(wall, 0.5), quantile(wall, 0.1), quantile(wall, 0.9), quantile(processor, 0.5))
        print(f"{number}  {tree.name:37}" + "".join(f"{each:>9.1f}" for each in row[:3]) + f"{row[3]:>12.1f}")


if __name__ == "__main__":
    main()
