"""Routes as static networks: what a dynamic network is measured against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gating.turns import Image, Run, Scores
from edge.backends.compose import compose, segment_inputs
from edge.backends.models import StageModels
from edge.backends.onnxruntime.calls import Call
from edge.backends.onnxruntime.process import this_process
from edge.bundle import open_bundle
from edge.network import Network, Route, Segment

PROVIDERS = ["CPUExecutionProvider"]


def whole_segment(network: Network, route: Route) -> Segment:
    """A route from the image to the last exit."""
    return network.segment(route, 0, len(network.exits) - 1)


def run_of(call: Call) -> Run:
    """A call as a way to classify frames; the scores are the caller's to keep, as those of a segment are."""

    def run(image: Image) -> Scores:
        call.run(image)
        scores: Scores = call.outputs[0].array[0].copy()
        return scores

    return run


class StaticNetworks:
    """Every route exported as one ONNX graph, with a session of its own and all optimisations.

    Sessions have the options that a user would give them: an arena each, prepacked weights.  They are called as
    segments are, which is the fastest way there is.
    """

    def __init__(self, models: StageModels, ort: Any, options: Any) -> None:
        self.network = models.network
        self._ort, self._options = ort, options
        self._stages = {stage: models.stage_model(stage) for stage in self.network.stages}

    def model(self, segment: Segment) -> bytes:
        """The ONNX model of a segment that begins at the image."""
        composed = compose(self.network, self._stages, segment_inputs(segment))
        # Only the scores may come out: each output more would cost a conversion.
        del composed.graph.output[:-1]
        data: bytes = composed.SerializeToString()
        return data

    def run(self, segment: Segment) -> Run:
        """A segment that begins at the image, in a new session."""
        session = self._ort.InferenceSession(self.model(segment), self._options, providers=PROVIDERS)
        return run_of(Call(self._ort, session))

    def route(self, route: Route) -> Run:
        """A route in a new session."""
        return self.run(whole_segment(self.network, route))


def write_static_network(folder: Path, route: Route, file: Path) -> None:
    """Export a route of the bundle in `folder` as one ONNX file."""
    bundle = open_bundle(folder)
    static = static_networks(bundle, 1)
    file.write_bytes(static.model(whole_segment(bundle.network, route)))


def static_networks(models: StageModels, threads: int) -> StaticNetworks:
    """Static networks on the threads that this process's backends share, with which they were or will be opened."""
    process = this_process()
    process.use(threads)
    return StaticNetworks(models, process.ort, plain_options(process.ort, threads))


def plain_options(ort: Any, threads: int) -> Any:
    """Options for a static network that runs on the one pool of the process (several threads) or on none."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    if threads == 1:
        options.intra_op_num_threads = 1
    else:
        options.use_per_session_threads = False
    return options


def own_pool_options(ort: Any, threads: int) -> Any:
    """Options for a static network with threads of its own, which ONNX Runtime gives it by default."""
    options = plain_options(ort, 1)
    options.intra_op_num_threads = threads
    return options


def random_image(network: Network) -> Image:
    """One seeded image of the network's size."""
    return np.random.default_rng(0).random(network.stages[network.order[0]].input.shape, np.float32)
