"""Routes as static networks: what a dynamic network is measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gating.turns import Image, Run, Scores
from edge.backends.compose import IMAGE, compose, segment_inputs
from edge.backends.models import StageModels
from edge.backends.onnxruntime.calls import Call
from edge.backends.onnxruntime.process import keep_exact, this_process
from edge.backends.onnxruntime.quantise import quantised
from edge.bundle import open_bundle
from edge.network import Network, Route, Segment

if TYPE_CHECKING:
    import onnx

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

    def __init__(self, network: Network, stages: Mapping[str, onnx.ModelProto], ort: Any, options: Any) -> None:
        self.network = network
        self._stages, self._ort, self._options = stages, ort, options

    def model(self, segment: Segment) -> bytes:
        """The ONNX model of a segment that begins at the image."""
        return self._model(segment_inputs(segment), (segment.head,))

    def _model(self, inputs: Mapping[str, str], heads: Sequence[str]) -> bytes:
        composed = compose(self.network, self._stages, inputs)
        # Only scores may come out, the answer first: each output more would cost a conversion.
        given = {output.name: output for output in composed.graph.output}
        del composed.graph.output[:]
        composed.graph.output.extend(given[head] for head in reversed(heads))
        data: bytes = composed.SerializeToString()
        return data

    def run(self, segment: Segment) -> Run:
        """A segment that begins at the image, in a new session."""
        return self.chain((segment,))

    def chain(self, segments: Sequence[Segment]) -> Run:
        """Segments that follow each other from the image, as one graph that gives all their scores.

        What is returned at a run are the scores of the last.
        """
        inputs, features = {}, IMAGE
        for segment in segments:
            for stage in segment.stages:
                inputs[stage], features = features, stage
            inputs[segment.head] = features
        model = self._model(inputs, [segment.head for segment in segments])
        return run_of(Call(self._ort, self._ort.InferenceSession(model, self._options, providers=PROVIDERS)))

    def route(self, route: Route) -> Run:
        """A route in a new session."""
        return self.run(whole_segment(self.network, route))


def write_static_network(folder: Path, route: Route, file: Path) -> None:
    """Export a route of the bundle in `folder` as one ONNX file."""
    bundle = open_bundle(folder)
    static = static_networks(bundle, 1)
    file.write_bytes(static.model(whole_segment(bundle.network, route)))


def static_networks(models: StageModels, threads: int, precision: str = "fp32") -> StaticNetworks:
    """Static networks on the threads that this process's backends share, with which they were or will be opened."""
    process = this_process()
    process.use(threads)
    stages, options = stages_of(models), plain_options(process.ort, threads)
    if precision == "int8":
        stages = quantised(models.network, stages)
        keep_exact(options)
    return StaticNetworks(models.network, stages, process.ort, options)


def stages_of(models: StageModels) -> dict[str, onnx.ModelProto]:
    """Every stage of a network, as exported."""
    return {stage: models.stage_model(stage) for stage in models.network.stages}


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
