"""What replaying a recorded stream of twins adds to a frame's measured latency: against the same frames from memory.

    python benchmarks/replaying.py --frames 1000

Frames of the stream and copies that were in memory before take turns, in an order that alternates, through one network
with one fixed route.  Prints preprocessing and inference of either, and what the replay adds, with its interval.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from bench.contenders import open_contender
from bench.feed import ClosedLoop
from bench.harness import Limits, measure
from bench.statistics.bootstrap import mean_estimate, ratio_estimate, resampling_generator
from bench.stopping import Stopping
from bench.timeline import FrameRecord
from devices.sources.base import Frame
from devices.sources.recorded import Recorded
from devices.twins import Crafting, write_twins
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import Bundle, open_bundle
from edge.controllers.constant import KeepAll
from edge.models import model_folder
from edge.preprocess import Preprocessor


@dataclass
class Alternating:
    """Each frame of the stream and its copy in memory, whose name begins with an M."""

    replayed: Recorded
    task: str | None = None

    @property
    def length(self) -> int:
        return 2 * self.replayed.length

    def frames(self) -> Iterator[Frame]:
        memory = [Frame(frame.image.copy(), f"M{index}") for index, frame in enumerate(self.replayed.frames())]
        for number, frame in enumerate(self.replayed.frames()):
            yield from (frame, memory[number]) if number % 2 == 0 else (memory[number], frame)

    def close(self) -> None:
        self.replayed.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="gusodrop")
    parser.add_argument("--frames", type=int, default=1000)
    arguments = parser.parse_args()
    bundle = open_bundle(model_folder(arguments.model))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "s.npz")
        _write(path, bundle, arguments.frames // 2)
        records = _measured(bundle, Alternating(Recorded(str(path))))
    replayed, memory = (
        np.array([each.preprocess_ns + each.inference_ns for each in records if each.name.startswith("M") is kept])
        for kept in (False, True)
    )
    # Ended by hand, a run may lack the last copy.
    frames = min(len(replayed), len(memory))
    replayed, memory = replayed[:frames], memory[:frames]
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {date.today()}")
    print(f"{frames:,} frames each of {bundle.name}, every block kept")
    for name, times in (("replayed", replayed), ("from memory", memory)):
        mean = mean_estimate(times / 1e3, resampling_generator())
        print(f"{name:12} mean {mean.value:9.1f} us  median {np.median(times) / 1e3:9.1f} us")
    ratio = ratio_estimate(replayed, memory, resampling_generator())
    print(f"{'added':12} {ratio.value - 1:+.2%}  {ratio.low - 1:+.2%} to {ratio.high - 1:+.2%}")
    print(f"{'of medians':12} {np.median(replayed) / np.median(memory) - 1:+.2%}")


def _write(path: Path, bundle: Bundle, pairs: int) -> None:
    height, width = bundle.manifest.input_shape[2:]
    clean, adversarial = np.random.default_rng(0).integers(0, 256, (2, pairs, height, width, 3), np.uint8)
    crafting = Crafting("noise", bundle.name, bundle.digest, "noise", 0, None)
    write_twins(path, clean, adversarial, np.full(pairs, -1), crafting)


def _measured(bundle: Bundle, source: Alternating) -> list[FrameRecord]:
    contender = open_contender(bundle.name, bundle, OnnxRuntime(), KeepAll(), threads=1, seed=0)
    records: list[FrameRecord] = []
    with closing(contender.runtime), closing(source), Stopping() as stopping:
        preprocess = Preprocessor(*bundle.manifest.input_shape[2:])
        measure((contender,), ClosedLoop(source), preprocess, Limits(None, None), records, lambda state: None, stopping)
    return [each for each in records if not each.warm_up]


if __name__ == "__main__":
    main()
