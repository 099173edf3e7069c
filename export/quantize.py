"""The ranges of a bundle's activations, measured on training images, so that backends can compute in int8.

    python -m export.quantize --model gusodrop --data ~/edgebench-data

`edgebench train` does so before it states the accuracy; this is for bundles without ranges.  Rewrites the bundle: the
stages' files state the ranges in their metadata, and so the digest changes.  The int8 weights that are stored serve
float32 and int8 alike.  Needs ONNX Runtime, and no torch.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.backends.activations import Range, state_ranges
from edge.backends.int8 import float_ends, int8_tensors, shared_places
from edge.backends.onnxruntime.process import this_process
from edge.bundle import Bundle, open_bundle, write_bundle
from edge.models import model_folder
from edge.network import Route
from edge.preprocess import Preprocessor

Image = NDArray[np.float32]
# A stage and one of its tensors.
Place = tuple[str, str]

IMAGES = 256
_BINS = 2048
# Levels of uint8.
_LEVELS = 255


@dataclass(slots=True)
class Histogram:
    """How often a tensor takes which value between the least and the largest that were seen."""

    low: float
    high: float
    counts: NDArray[np.int64]

    def add(self, values: NDArray[np.float32]) -> None:
        self.counts += np.histogram(values, _BINS, (self.low, self.high))[0]

    def best_range(self) -> Range:
        """The range, 0 in it, that rounds to 256 levels with the least squared error: rare extremes are cut off."""
        edges = np.linspace(self.low, self.high, _BINS + 1)
        centres = (edges[:-1] + edges[1:]) / 2
        shares = np.linspace(0.2, 1.0, 81)
        candidates = [Range(min(0.0, self.low * share), max(0.0, self.high * share)) for share in shares]
        return min(candidates, key=lambda candidate: self._squared_error(candidate, centres))

    def _squared_error(self, candidate: Range, centres: NDArray[np.float64]) -> float:
        step = (candidate.high - candidate.low) / _LEVELS
        beyond = np.maximum(candidate.low - centres, 0) + np.maximum(centres - candidate.high, 0)
        # Inside, the error of rounding is uniform: a twelfth of the squared step.
        error = np.where(beyond > 0, beyond**2, step**2 / 12)
        # Zeros, of which rectified tensors have many, are exact whatever the step.
        width = (self.high - self.low) / _BINS
        return float((self.counts * np.where(np.abs(centres) <= width / 2, 0, error)).sum())


class FloatNetwork:
    """A bundle's float stages with the tensors that int8 will round as outputs.

    Raises:
        BackendError: the process computes with another number of threads already.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.network = bundle.network
        ends = float_ends(self.network)
        process = this_process()
        process.use(threads)
        self.tensors: dict[str, list[str]] = {}
        # Pairs within a stage that have one range: what a pooling reads and gives.
        self.moved: list[tuple[Place, Place]] = []
        self._sessions: dict[str, Any] = {}
        for stage in self.network.stages:
            model = bundle.stage_model(stage)
            sources = int8_tensors(model, *ends[stage])
            names = list(dict.fromkeys([*sources.values(), *sources]))
            self.moved += [((stage, tensor), (stage, source)) for tensor, source in sources.items()]
            self.tensors[stage] = names
            self._sessions[stage] = process.session(_showing(model, names), process.options(optimise=True))

    def run(self, image: Image, route: Route) -> Iterator[tuple[Place, NDArray[np.float32]]]:
        """What the tensors hold while an image takes a route; every exit, gate network and the policy run too."""
        network = self.network
        heads = {exit_.after: exit_.head for exit_ in network.exits}
        if network.policy is not None:
            yield from self._run(network.policy, image)[1]
        features = image
        gates = {gate.block: (gate, bit) for gate, bit in zip(network.gates, route, strict=True)}
        for stage in network.order:
            gate, bit = gates.get(stage, (None, "1"))
            if gate is not None and gate.decision is not None:
                yield from self._run(gate.decision, features)[1]
            ran = stage if gate is None or bit == "1" else gate.bypass
            if ran is not None:
                features, shown = self._run(ran, features)
                yield from shown
            if stage in heads:
                yield from self._run(heads[stage], features)[1]

    def keep_probabilities(self, image: Image) -> NDArray[np.float32] | None:
        return None if self.network.policy is None else self._run(self.network.policy, image)[0][0]

    def _run(
        self, stage: str, features: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], list[tuple[Place, NDArray[np.float32]]]]:
        session = self._sessions[stage]
        name = self.network.stages[stage].input.name
        output, *others = session.run(None, {name: features})
        values = dict(zip([value.name for value in session.get_outputs()], [output, *others], strict=True))
        values[name] = features
        return output, [((stage, tensor), values[tensor]) for tensor in self.tensors[stage]]


def calibrated_ranges(
    network: FloatNetwork,
    images: Iterable[Image],
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, dict[str, Range]]:
    """Ranges by stage and tensor, those that must be one being one.

    Every image takes two routes: one that the policy draws (without one, that keeps all blocks), and one by a fair
    coin, since scales must fit whichever blocks were dropped.  `report` is told how many runs of how many are done.
    """
    generator = np.random.default_rng(seed)
    runs = [(image, route) for image in images for route in _routes(network, image, generator)]
    group = _groups(network)
    ends: dict[Place, tuple[float, float]] = {}
    for done, (image, route) in enumerate(runs):
        report(done, 2 * len(runs))
        for place, values in network.run(image, route):
            low, high = ends.get(group[place], (0.0, 0.0))
            ends[group[place]] = min(low, float(values.min())), max(high, float(values.max()))
    histograms = {
        place: Histogram(low, max(high, low + 1e-6), np.zeros(_BINS, np.int64)) for place, (low, high) in ends.items()
    }
    for done, (image, route) in enumerate(runs, len(runs)):
        report(done, 2 * len(runs))
        for place, values in network.run(image, route):
            histograms[group[place]].add(values)
    report(2 * len(runs), 2 * len(runs))
    best = {place: histogram.best_range() for place, histogram in histograms.items()}
    return {
        stage: {tensor: best[group[stage, tensor]] for tensor in tensors} for stage, tensors in network.tensors.items()
    }


def quantize(
    folder: Path,
    images: Iterable[Image],
    threads: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Bundle:
    """Measure the ranges of a bundle on images (1, 3, h, w) in [0, 1], and write it anew with them."""
    bundle = open_bundle(folder)
    ranges = calibrated_ranges(FloatNetwork(bundle, threads), images, report=report)
    return write_ranges(bundle, ranges)


def write_ranges(bundle: Bundle, ranges: Mapping[str, Mapping[str, Range]]) -> Bundle:
    """The bundle with ranges in the files of its stages; its weights stay as they are stored."""
    stages = bundle.network.stages
    stored = {stage: onnx.load(bundle.folder / stages[stage].file) for stage in stages}
    for stage, model in stored.items():
        state_ranges(model, ranges[stage])
    companions = {
        entry.name: entry.read_bytes()
        for entry in bundle.folder.iterdir()
        if entry.name not in {"manifest.json", *(stage.file for stage in stages.values())}
    }
    written = write_bundle(bundle.folder, bundle.manifest, stored, overwrite=True)
    for name, data in companions.items():
        (bundle.folder / name).write_bytes(data)
    return written


def training_images(data: Path, size: tuple[int, int], count: int, seed: int = 0) -> list[Image]:
    """Images of the traffic signs' training set, drawn without repetition."""
    from devices.datasets.gtsrb import read_gtsrb

    signs = read_gtsrb(data, "train")
    preprocess = Preprocessor(*size)
    chosen = np.random.default_rng(seed).choice(len(signs.images), count, replace=False)
    return [preprocess(signs.images[index]).copy() for index in chosen]


def _routes(network: FloatNetwork, image: Image, generator: np.random.Generator) -> list[Route]:
    gates = len(network.network.gates)
    keep = network.keep_probabilities(image)
    usual = np.ones(gates) if keep is None else keep
    drawn = (generator.random(gates) < probabilities for probabilities in (usual, np.full(gates, 0.5)))
    return list(dict.fromkeys("".join("01"[int(bit)] for bit in bits) for bits in drawn))


def _groups(network: FloatNetwork) -> dict[Place, Place]:
    """For every place the one whose range it has."""
    parent = {(stage, tensor): (stage, tensor) for stage, tensors in network.tensors.items() for tensor in tensors}

    def root(place: Place) -> Place:
        while parent[place] != place:
            place = parent[place]
        return place

    for first, second in [*network.moved, *shared_places(network.network)]:
        parent[root(first)] = root(second)
    return {place: root(place) for place in parent}


def _showing(model: onnx.ModelProto, names: list[str]) -> bytes:
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    boundary = {shown.graph.input[0].name, shown.graph.output[0].name}
    for name in names:
        if name not in boundary:
            shown.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return bytes(shown.SerializeToString())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m export.quantize", description=__doc__)
    add = parser.add_argument
    add("--model", required=True, metavar="NAME_OR_FOLDER", help="a shipped network, or the folder of a bundle")
    add("--data", type=Path, required=True, metavar="FOLDER", help="the data sets that the network was trained on")
    add("--images", type=int, default=IMAGES, metavar="N", help="training images (default %(default)s)")
    arguments = parser.parse_args()
    folder = model_folder(arguments.model)
    height, width = open_bundle(folder).manifest.input_shape[2:]
    bundle = quantize(folder, training_images(arguments.data, (height, width), arguments.images))
    print(
        f"{bundle.name}: ranges from {arguments.images} images, digest {bundle.digest[:8]}, {bundle.size_bytes:,} bytes"
    )


if __name__ == "__main__":
    main()
