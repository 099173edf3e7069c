"""`edgebench export MODEL --single-file`: a network with early exits as one ONNX file for other runtimes."""

from __future__ import annotations

import argparse
import os
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.cli.bundling import data_folder
from bench.cli.errors import RequestError, Status
from bench.cli.streams import note
from bench.cli.walking import open_with_exits
from bench.registry import make
from bench.report.document import render_json
from devices.sources.dataset import Dataset
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.importing import import_onnxruntime
from edge.bundle import Bundle
from edge.controllers.base import Controller
from edge.controllers.composed import Composed
from edge.controllers.confidence import Confidence
from edge.controllers.constant import DropAll, Fixed, KeepAll
from edge.cores import usable_cores
from edge.network import Route
from edge.preprocess import Preprocessor
from edge.randomness import GateRandom
from edge.runtime import FrameError, Runtime

if TYPE_CHECKING:
    from export.onnx.agreement import Agreement, SingleFile

_COMPARED = 500
_OF_ENGINES = ("target", "route", "single_graph", "rebuild")
_OF_VERIFY = ("data", "threads")


def write_single_file(arguments: argparse.Namespace) -> Status:
    """Write the network that stops by confidence as one ONNX file, with thresholds and gates fixed inside.

    With --verify it is then compared with the staged runtime; status 1 where they differ.

    Raises:
        RequestError: the controller decides what a single file cannot, the file exists and is not to be replaced, an
            option would be ignored, or there are no images to compare on.
    """
    _refuse_ignored(arguments)
    file: Path = arguments.single_file
    bundle = open_with_exits(arguments.trained)
    made, spec = make("controllers", arguments.controller or bundle.manifest.controllers.default)
    thresholds, route = _fixed_decisions(bundle, made, spec)
    if file.exists() and not arguments.overwrite:
        raise RequestError("file", f"{file} exists already", "Choose another --single-file, or add --overwrite.")
    images = _test_images(arguments, bundle) if arguments.verify else None
    from export.onnx.nested import OUTPUTS, nested

    exported = nested(bundle, thresholds, route)
    for key, value in (("bundle", bundle.digest), ("model", bundle.name), ("controller", spec)):
        exported.metadata_props.add(key=f"edgebench.{key}", value=value)
    beside = file.with_name(f".{file.name}.tmp")
    beside.write_bytes(exported.SerializeToString(deterministic=True))
    os.replace(beside, file)
    size_bytes = file.stat().st_size
    found = (
        None
        if images is None
        else _compared(file, bundle, made, thresholds, images, arguments.threads or usable_cores())
    )
    if arguments.json:
        head = {"schema": 1, "model": bundle.name, "bundle": {"digest": bundle.digest}, "controller": spec}
        verification = None if found is None else asdict(found) | {"faithful": found.faithful}
        written = {"file": str(file), "size_bytes": size_bytes, "thresholds": thresholds}
        print(render_json({**head, **written, "verification": verification}))
    else:
        print(f"{file}: {bundle.name} with {spec}, {size_bytes / 1e6:.1f} MB, outputs {', '.join(OUTPUTS)}")
        if found is not None:
            print(_text(found))
    return Status.DONE if found is None or found.faithful else Status.LIMIT_FAILED


def _refuse_ignored(arguments: argparse.Namespace) -> None:
    unused = {"work": "Leave it out.", **dict.fromkeys(_OF_ENGINES, "It is for --format tensorrt.")}
    if not arguments.verify:
        unused |= dict.fromkeys(_OF_VERIFY, "Add --verify, or leave it out.")
    for name, hint in unused.items():
        if getattr(arguments, name) not in (None, False, []):
            option = f"--{name.replace('_', '-')}"
            raise RequestError("usage", f"{option} has no meaning for the writing of a single file", hint)


def _test_images(arguments: argparse.Namespace, bundle: Bundle) -> Dataset:
    """The test images of the network's data set.

    Raises:
        RequestError: it is not said where they are.
        SourceError: they are not there.
    """
    data, data_set = data_folder(arguments), bundle.manifest.task.dataset
    if data is None:
        raise RequestError(
            "data",
            f"--verify compares on the test images of {data_set}, which are not part of the project",
            "Name their folder with --data or EDGEBENCH_DATA.",
        )
    return Dataset(f"{data_set}/test", folder=str(data))


def _compared(
    file: Path, bundle: Bundle, controller: Controller, thresholds: list[float | None], images: Dataset, threads: int
) -> Agreement:
    """The file as it was written, run by plain ONNX Runtime, beside the bundle stage by stage."""
    from export.onnx.agreement import agreement

    note(f"comparing with the staged runtime on {min(_COMPARED, images.length)} images")
    preprocess = Preprocessor(*bundle.manifest.input_shape[2:])
    tensors = (preprocess(frame.image) for frame in islice(images.frames(), _COMPARED))
    backend = OnnxRuntime(plan="staged").open(bundle, threads)
    with closing(Runtime(bundle.network, backend, controller, random=GateRandom(0))) as runtime:
        try:
            return agreement(_plain(file, threads), runtime, thresholds, tensors)
        except FrameError as error:
            raise RequestError("model", str(error), "Export the bundle again.") from error


def _plain(file: Path, threads: int) -> SingleFile:
    from export.onnx.nested import IMAGE, OUTPUTS

    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run(tensor: NDArray[np.float32]) -> tuple[NDArray[np.float32], int, float]:
        scores, exit_index, confidence = session.run(list(OUTPUTS), {IMAGE: tensor})
        return scores, int(exit_index), float(confidence)

    return run


def _text(found: Agreement) -> str:
    apart = "-" if found.difference is None else f"{found.difference:.1e}"
    left_out = f" ({found.borderline} left elsewhere at their threshold, and count as neither)" * bool(found.borderline)
    verdict = "the file answers as the bundle does" if found.faithful else "THE FILE DIFFERS FROM THE BUNDLE"
    return (
        f"on {found.images} test images beside the staged runtime{left_out}:\n"
        f"  same exit {found.exits:.1%}, same answer {found.answers:.1%}, "
        f"scores apart by at most {apart} of the largest\n"
        f"{verdict}"
    )


def _fixed_decisions(bundle: Bundle, controller: Controller, spec: str) -> tuple[list[float | None], Route]:
    """The thresholds and the route of a controller that stops by confidence on the same gates for every frame."""
    parts = controller.parts if isinstance(controller, Composed) else (controller,)
    confidences = [part for part in parts if isinstance(part, Confidence) and part.fallback == "last"]
    others = [part for part in parts if part not in confidences]
    if len(confidences) != 1 or not all(_is_constant(part) for part in others):
        example = "confidence:0.9"
        if bundle.network.gates:
            example = f"fixed:{bundle.network.full_route}+{example}"
        raise RequestError(
            "controller",
            f"{spec} cannot be put into a single file, which stops by confidence, falls back to the last exit, and has "
            "the same route for every frame",
            f"Write for example --controller {example}.",
        )
    try:
        controller.attach(bundle.network, GateRandom(0))
    except ValueError as error:
        raise RequestError("controller", str(error)) from error
    return list(confidences[0].limits), controller.gates(None)


def _is_constant(part: Controller) -> bool:
    return isinstance(part, (KeepAll, DropAll)) or (isinstance(part, Fixed) and part.exit is None)
