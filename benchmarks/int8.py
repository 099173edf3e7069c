"""What int8 costs in right answers and saves in time, for every shipped network.

    python -m benchmarks.int8 --json int8.json                       # EDGEBENCH_DATA names the data sets
    python -m benchmarks.int8 --models ./my-sdn --images 1000 --groups 200

Right answers: test images of the network's data set, each on the same route in float32 and in int8, at every exit.  On
all blocks and, where there is a policy, on a route that it draws for the image; through the runtime's own int8, and
through the graph that TensorRT is given, which ONNX Runtime runs too.  Time: a route as one static int8 graph over the
same one in float32, and int8 through the runtime over the static int8 graph; groups of four frames, in order A B B A.

Status 1 if int8 loses more than 0.5 points anywhere.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gating.fresh import in_fresh_process
from benchmarks.gating.plans import INT8, measure_int8
from benchmarks.gating.routes import choose_routes
from benchmarks.gating.static import PROVIDERS, plain_options
from benchmarks.gating.turns import Image, RouteTax
from benchmarks.machine import machine_lines
from benchmarks.verdicts import Verdict, at_most, verdict_lines
from devices.boards.detection import detect
from devices.sources.dataset import Dataset
from edge.backends.base import Backend
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.process import this_process
from edge.backends.tensorrt.prepare import prepare, segment_part
from edge.bundle import Bundle, open_bundle
from edge.models import model_folder, shipped
from edge.network import Network, Route
from edge.preprocess import Preprocessor

MOST_LOST_POINTS = 0.5
# The operator set of TensorRT 10 and newer.
_OPSET = 20


@dataclass(frozen=True, slots=True)
class Answers:
    """Float32 and int8 on the same images and routes at one exit: shares of right and of equal answers.

    `only_float32` and `only_int8` count the images that one alone has right.
    """

    network: str
    computed_by: str
    routes: str
    exit: int
    images: int
    float32: float
    int8: float
    same: float
    only_float32: int
    only_int8: int

    @property
    def lost_points(self) -> float:
        return 100 * (self.only_float32 - self.only_int8) / self.images


def compare(
    network: str, computed_by: str, routes: str, labels: NDArray[np.int64], answers: Sequence[NDArray[np.int64]]
) -> list[Answers]:
    """A row for every exit, from float32's and int8's classes (images, exits) and the labels (images,)."""
    exact, narrow = answers
    rows = []
    for index in range(exact.shape[1]):
        right, its = exact[:, index] == labels, narrow[:, index] == labels
        same = float((exact[:, index] == narrow[:, index]).mean())
        counts = int((right & ~its).sum()), int((its & ~right).sum())
        rows.append(
            Answers(
                network, computed_by, routes, index, len(labels), float(right.mean()), float(its.mean()), same, *counts
            )
        )
    return rows


def measure_answers(bundle: Bundle, count: int, seed: int) -> list[Answers]:
    """For a process of its own."""
    network, name = bundle.network, bundle.name
    images, labels = _labelled(bundle, count, seed)
    exact = OnnxRuntime(plan="staged").open(bundle, 1)
    narrow = OnnxRuntime(plan="staged", precision="int8").open(bundle, 1)
    full = [network.full_route] * len(images)
    in_float = _classes(exact, network, full, images)
    rows = compare(name, "onnxruntime", "all blocks", labels, (in_float, _classes(narrow, network, full, images)))
    rows += compare(name, "TensorRT's graph", "all blocks", labels, (in_float, _of_tensorrt(bundle, images)))
    if network.policy is not None:
        drawn = _drawn(exact, network, images, seed)
        both = [_classes(backend, network, drawn, images) for backend in (exact, narrow)]
        rows += compare(name, "onnxruntime", "the policy's", labels, both)
    return rows


def _labelled(bundle: Bundle, count: int, seed: int) -> tuple[list[Image], NDArray[np.int64]]:
    manifest = bundle.manifest
    preprocess = Preprocessor(*manifest.input_shape[2:])
    frames = [*islice(Dataset(f"{manifest.task.dataset}/test", seed=seed).frames(), count)]
    # A copy, since the next image is written in the same place.
    images = [preprocess(frame.image).copy() for frame in frames]
    return images, np.array([frame.label for frame in frames])


def _drawn(backend: Backend, network: Network, images: Sequence[Image], seed: int) -> list[Route]:
    """A route for every image, drawn from what the policy gives in float32."""
    policy, generator = backend.compile(network.policy_segment()), np.random.default_rng(seed)
    keep = np.array([policy.run(image)[1] for image in images])
    return ["".join("01"[bit] for bit in row) for row in (generator.random(keep.shape) < keep).astype(int)]


def _classes(backend: Backend, network: Network, routes: Sequence[Route], images: Sequence[Image]) -> NDArray[np.int64]:
    """What the network answers at every exit (images, exits), each image on its route."""
    starts = (0, *network.exit_positions[:-1])
    chains: dict[Route, Any] = {}
    answers = np.empty((len(images), len(starts)), np.int64)
    for row, (route, image) in enumerate(zip(routes, images, strict=True)):
        if route not in chains:
            chains[route] = [
                backend.compile(network.segment(route, start, index)) for index, start in enumerate(starts)
            ]
        features: Any = image
        for index, executable in enumerate(chains[route]):
            features, scores = executable.run(features)
            answers[row, index] = scores.argmax()
    return answers


def _of_tensorrt(bundle: Bundle, images: Sequence[Image]) -> NDArray[np.int64]:
    """The answers (images, exits) of the int8 graphs that TensorRT is given, from the image to each exit."""
    network, ort = bundle.network, this_process().ort
    prepared = prepare(bundle, "int8", _OPSET)
    answers = np.empty((len(images), len(network.exits)), np.int64)
    for index in range(len(network.exits)):
        model = segment_part(prepared, network.segment(network.full_route, 0, index), "int8").model
        session = ort.InferenceSession(model.SerializeToString(), plain_options(ort, 1), providers=PROVIDERS)
        (given,) = (each.name for each in session.get_inputs())
        # The scores come first, features behind them where the network goes on.
        scores = session.get_outputs()[0].name
        answers[:, index] = [session.run([scores], {given: image})[0].argmax() for image in images]
    return answers


def judge(answers: Sequence[Answers]) -> list[Verdict]:
    """Whether int8 loses too much anywhere, a line for each network."""
    worst: dict[str, float] = {}
    for row in answers:
        worst[row.network] = max(worst.get(row.network, -100.0), row.lost_points)
    return [
        at_most(f"points that {name} loses, at worst", lost, MOST_LOST_POINTS, ".2f") for name, lost in worst.items()
    ]


def lines(answers: Sequence[Answers], times: dict[str, list[RouteTax]]) -> Iterator[str]:
    """Two tables."""
    yield "| network | computed by | routes | exit | float32 | int8 | same class | right in one alone: float32, int8 |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in answers:
        shares = f"{row.float32:.2%} | {row.int8:.2%} | {row.same:.1%}"
        yield (
            f"| `{row.network}` | {row.computed_by} | {row.routes} | {row.exit} | {shares} | {row.only_float32}, "
            f"{row.only_int8} of {row.images:,} |"
        )
    yield from ("", "| network | route | what | ratio | 95% interval | ms of the latter |", "|---|---|---|---|---|---|")
    for name, measured in times.items():
        for each in measured:
            tax = each.tax
            interval = "-" if tax.low is None or tax.high is None else f"{tax.low:.3f} to {tax.high:.3f}"
            what = "static int8 over static float32" if each.plan == INT8 else "int8 in the runtime over static int8"
            figures = f"{tax.ratio:.3f} | {interval} | {tax.static_us / 1e3:.3f}"
            yield f"| `{name}` | {each.route or '-'} | {what} | {figures} |"


def main() -> int:
    arguments = _parser().parse_args()
    environment = detect().environment()
    machine = [*machine_lines(environment)]
    print("\n".join(machine) + "\n", flush=True)
    answers: list[Answers] = []
    times: dict[str, list[RouteTax]] = {}
    bundles = [open_bundle(model_folder(name)) for name in arguments.models]
    for bundle in bundles:
        routes = choose_routes(len(bundle.network.gates), 0)[: arguments.routes]
        times[bundle.name] = in_fresh_process(measure_int8, bundle.folder, arguments.threads, arguments.groups, routes)
        if arguments.images:
            answers += in_fresh_process(_answers_of, bundle.folder, arguments.images, arguments.seed)
    verdicts = judge(answers)
    print("\n".join(lines(answers, times)), flush=True)
    print("\n" + "\n".join(verdict_lines(verdicts)))
    if arguments.json is not None:
        found = {
            "command": sys.argv[1:],
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "machine": machine,
            "environment": asdict(environment),
            "threads": arguments.threads,
            "digests": {bundle.name: bundle.digest for bundle in bundles},
            "answers": [{**asdict(row), "lost_points": row.lost_points} for row in answers],
            "times": {name: [asdict(each) for each in measured] for name, measured in times.items()},
        }
        arguments.json.write_text(json.dumps(found, indent=1, default=str) + "\n")
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def _answers_of(folder: Path, count: int, seed: int) -> list[Answers]:
    return measure_answers(open_bundle(folder), count, seed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--models", nargs="+", default=shipped(), metavar="NAME_OR_FOLDER", help="default: all that are shipped")
    add("--images", type=int, default=1500, help="test images, 0 for times alone (default %(default)s)")
    add("--groups", type=int, default=300, help="groups of four frames a route (default %(default)s)")
    add("--routes", type=int, default=4, help="routes that are timed (default %(default)s)")
    add("--threads", type=int, default=1, help="for the times (default 1)")
    add("--seed", type=int, default=1, help="which images, and which routes for them (default %(default)s)")
    add("--json", type=Path, metavar="FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
