"""What the harness itself costs: time a frame and memory over a long run, with a backend that computes nothing.

    python -m benchmarks.harness --frames 1000000

Prints one table.  "harness" is the whole frame without what the source, the preprocessing and the runtime took.  Status
1 where a limit is broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic_ns

import numpy as np
import psutil

from bench.contenders import open_contender
from bench.feed import ClosedLoop
from bench.harness import Limits, measure
from bench.records import RunWriter
from bench.stopping import Stopping
from bench.timeline import FrameRecord
from benchmarks.machine import machine_lines
from benchmarks.verdicts import at_most, verdict_lines
from devices.boards.detection import detect
from devices.sources.base import Frame
from edge.backends.null import Null
from edge.bundle import open_bundle
from edge.controllers.gusodrop import GuSoDrop
from edge.models import model_folder
from edge.preprocess import Preprocessor

HARNESS_US = 20.0
# From the second tenth on; the first fills buffers and what was imported late.
GROWTH_MIB = 1.0


@dataclass
class SameFrame:
    """One 32 px image for ever; reads the process's memory at every tenth of the run."""

    count: int
    task: str | None = "gtsrb"
    memory_mib: list[float] = field(default_factory=list)

    @property
    def length(self) -> int:
        return self.count

    def frames(self) -> Iterator[Frame]:
        frame = Frame(np.zeros((32, 32, 3), np.uint8), "same", label=0)
        process = psutil.Process()
        for index in range(self.count):
            if index % (self.count // 10) == 0:
                self.memory_mib.append(process.memory_full_info().uss / 2**20)
            yield frame

    def close(self) -> None:
        pass


@dataclass
class Totals:
    """Passes rows on and adds up what they say."""

    records: RunWriter
    capture_ns: int = 0
    preprocess_ns: int = 0
    inference_ns: int = 0

    def append(self, record: FrameRecord) -> None:
        self.capture_ns += record.capture_ns or 0
        self.preprocess_ns += record.preprocess_ns
        self.inference_ns += record.inference_ns
        self.records.append(record)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="gusodrop")
    parser.add_argument("--frames", type=int, default=100_000)
    arguments = parser.parse_args()
    bundle = open_bundle(model_folder(arguments.model))
    contender = open_contender(bundle.name, bundle, Null(), GuSoDrop(), threads=1, seed=0)
    source = SameFrame(arguments.frames)
    with tempfile.TemporaryDirectory() as folder, RunWriter(Path(folder, "run"), {}) as writer:
        totals = Totals(writer)
        began = monotonic_ns()
        limits = Limits(arguments.frames, None, warm_up_frames=0)
        with Stopping() as stopping:
            measure(
                (contender,),
                ClosedLoop(source),
                Preprocessor(32, 32),
                limits,
                totals,
                lambda state: None,
                stopping,
                classes=43,
            )
        ended = monotonic_ns()
    spans = {"source": totals.capture_ns, "preprocessing": totals.preprocess_ns, "runtime": totals.inference_ns}
    spans["harness"] = ended - began - sum(spans.values())
    print("\n".join(machine_lines(detect().environment())))
    print(f"{arguments.frames:,} frames, null backend, records written")
    for name, nanoseconds in spans.items():
        print(f"{name:14} {nanoseconds / arguments.frames / 1e3:8.2f} us a frame")
    print(f"{'memory':14} " + " ".join(f"{mib:.1f}" for mib in source.memory_mib) + " MiB at every tenth")
    verdicts = (
        at_most("harness, a frame", spans["harness"] / arguments.frames / 1e3, HARNESS_US, ".1f", " us"),
        at_most("growth of memory", max(source.memory_mib) - source.memory_mib[1], GROWTH_MIB, ".2f", " MiB"),
    )
    print("\n".join(verdict_lines(verdicts)))
    return 0 if all(verdict.holds for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
