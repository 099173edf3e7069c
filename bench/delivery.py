"""Trained networks in, a bundle out that says how well it does; needs torch, so only `train` and `export` import it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.accuracy import EveryExit, measure_accuracy, measure_exits
from bench.registry import make
from bench.summary import Estimate
from edge.backends.base import Backend
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import Accuracy, Bundle, Measured, Provenance, Task, state_measured
from edge.controllers.composed import Composed, decides_exits
from edge.preprocess import Preprocessor
from edge.randomness import GateRandom
from edge.runtime import Runtime
from export.onnx.stages import export_stages
from export.onnx.verify import Verification, routes_to_verify, verify
from export.onnx.write import write_stages
from export.quantize import IMAGES, quantize
from export.training.examples import Examples
from export.training.loop import Progress
from export.training.recipe import Report, Trained, examples_digest

_RENDERED_IMAGES = 2000
_VERIFIED_IMAGES = 64
_QUICK_IMAGES = 64
_QUICK_RANGE_IMAGES = 8
_REPORT_EVERY = 50


@dataclass(frozen=True, slots=True)
class Delivery:
    """A bundle that was written, and how it compares with torch where that was asked."""

    bundle: Bundle
    verification: Verification | None


def images_for_ranges(result: Trained, data: Path) -> Examples:
    """Images, spread over the training set, to measure the ranges of activations on.

    Raises:
        FileNotFoundError: the data folder holds no training images.
        ValueError: they are damaged.
    """
    return _evenly(result.recipe.training_images(data), _QUICK_RANGE_IMAGES if result.quick else IMAGES)


def deliver(
    result: Trained,
    folder: Path,
    *,
    for_ranges: Examples | None,
    test: Examples | None,
    verified: bool,
    threads: int,
    overwrite: bool,
    report: Report,
) -> Delivery:
    """Write the bundle, with the ranges that int8 needs, then state the accuracy of what was stored, then compare it
    with torch if asked.

    Without images `for_ranges` the bundle runs in float32 only.  Without `test` images the accuracy stays unstated, and
    rendered images are compared, or noise where none can be rendered.

    Raises:
        BundleError: the folder exists and `overwrite` is not set.
    """
    report(Progress("exporting", 0, 1, 0.0, {}))
    began = monotonic()
    bundle = _write(result, folder, for_ranges, test, overwrite)
    report(Progress("exporting", 1, 1, monotonic() - began, {}))
    if for_ranges is not None:
        preprocess = _preprocessor(bundle)
        tensors = [preprocess(image) for image in _arrays(for_ranges)[0]]
        bundle = quantize(folder, tensors, threads, _telling("calibrating", report))
    render = result.recipe.rendered_test
    rendered = None if render is None else render(_QUICK_IMAGES if result.quick else _RENDERED_IMAGES)
    if test is not None:
        shown = _evenly(test, _QUICK_IMAGES) if result.quick else test
        measured = _measure(result, bundle, shown, rendered, threads, report)
        if for_ranges is not None:
            measured = replace(measured, int8=_in_int8(result, bundle, shown, threads, report))
        bundle = state_measured(folder, measured)
    if not verified:
        return Delivery(bundle, None)
    images = test or rendered or _noise(bundle.manifest.input_shape)
    return Delivery(bundle, _verify(result, bundle, _evenly(images, _VERIFIED_IMAGES), threads, report))


def _write(
    result: Trained, folder: Path, for_ranges: Examples | None, test: Examples | None, overwrite: bool
) -> Bundle:
    recipe = result.recipe
    digests = dict(result.data_digests)
    for use, examples in (("ranges", for_ranges), ("test", test)):
        if examples is not None:
            digests[f"{recipe.task}/{use}"] = examples_digest(examples)
    versions = {package: version(package) for package in ("edgebench", "numpy", "onnx", "onnxscript")}
    option, suffix = (" --quick", "-quick") if result.quick else ("", "")
    return write_stages(
        folder,
        export_stages(result.networks.network, result.networks.policy),
        name=recipe.bundle + suffix,
        task=Task(recipe.task, recipe.classes),
        controller=(result.quick and recipe.quick_controller) or recipe.controller,
        provenance=Provenance(
            command=f"edgebench train {recipe.name} --seed {result.seed}{option}",
            seed=result.seed,
            versions=versions | {"torch": result.torch_version},
            data=digests,
            more={"training": dict(result.training)},
        ),
        overwrite=overwrite,
    )


def _measure(
    result: Trained, bundle: Bundle, test: Examples, rendered: Examples | None, threads: int, report: Report
) -> Measured:
    """The accuracy on the kinds of images there are, with the bundle's own controller and seeded gates."""
    controller, _ = make("controllers", bundle.manifest.controllers.default)
    backend = OnnxRuntime().open(bundle, threads)
    runtime = Runtime(bundle.network, backend, controller, random=GateRandom(result.seed))
    try:
        real = _accuracy(runtime, bundle, test, result.recipe.draws, "measuring", report)
        more: dict[str, Any] = {"backend": backend.describe()}
        if rendered is not None:
            drawn = _accuracy(runtime, bundle, rendered, result.recipe.draws, "measuring rendered", report)
            more = {"rendered": asdict(drawn), **more}
        return Measured(
            accuracy=Accuracy(real.value, real.low, real.high),
            data=f"dataset://{result.recipe.task}/test",
            n=real.n,
            draws=result.recipe.draws,
            date=datetime.now(timezone.utc).date().isoformat(),
            more=more,
            exits=_exits(result, bundle, backend, test, report) if len(bundle.network.exits) > 1 else (),
        )
    finally:
        runtime.close()


def _in_int8(result: Trained, bundle: Bundle, test: Examples, threads: int, report: Report) -> Accuracy:
    """As the accuracy in float32, with the same draws of the gates where the policy's probabilities are the same."""
    controller, _ = make("controllers", bundle.manifest.controllers.default)
    backend = OnnxRuntime(precision="int8").open(bundle, threads)
    runtime = Runtime(bundle.network, backend, controller, random=GateRandom(result.seed))
    try:
        found = _accuracy(runtime, bundle, test, result.recipe.draws, "measuring int8", report)
        return Accuracy(found.value, found.low, found.high)
    finally:
        runtime.close()


def _exits(result: Trained, bundle: Bundle, backend: Backend, test: Examples, report: Report) -> tuple[Accuracy, ...]:
    """The accuracy of every exit, with the gates of the bundle's own controller where it decides nothing else."""
    controller, _ = make("controllers", bundle.manifest.controllers.default)
    asked = EveryExit()
    parts = [] if decides_exits(controller) else [controller]
    runtime = Runtime(bundle.network, backend, Composed([*parts, asked]), random=GateRandom(result.seed))
    images, labels = _arrays(test)
    tell = _telling("measuring exits", report)
    found = measure_exits(runtime, asked, _preprocessor(bundle), images, labels, tell)
    return tuple(Accuracy(each.value, each.low, each.high) for each in found)


def _accuracy(runtime: Runtime, bundle: Bundle, examples: Examples, draws: int, phase: str, report: Report) -> Estimate:
    images, labels = _arrays(examples)
    return measure_accuracy(runtime, _preprocessor(bundle), images, labels, draws, _telling(phase, report))


def _arrays(examples: Examples) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, height, width, 3) and labels (n,)."""
    return examples.images.permute(0, 2, 3, 1).numpy(), examples.labels.numpy()


def _preprocessor(bundle: Bundle) -> Preprocessor:
    height, width = bundle.manifest.input_shape[2:]
    return Preprocessor(height, width)


def _telling(phase: str, report: Report) -> Callable[[int, int], None]:
    """Reports every so many images that they are done."""
    began = monotonic()

    def tell(done: int, total: int) -> None:
        if done % _REPORT_EVERY == 0 or done == total:
            report(Progress(phase, done, total, monotonic() - began, {}))

    return tell


def _verify(result: Trained, bundle: Bundle, examples: Examples, threads: int, report: Report) -> Verification:
    """Stage by stage, since that plan is the reference to which the fused one is held when it is opened."""
    images = examples.images.float().div(255.0)
    network, policy = result.networks.network, result.networks.policy
    backend = OnnxRuntime(plan="staged").open(bundle, threads)
    routes = routes_to_verify(network.gates)
    began = monotonic()

    def tell(done: int) -> None:
        report(Progress("verifying", done, len(routes), monotonic() - began, {}))

    try:
        return verify(bundle, backend, network, policy, images, routes, tell)
    finally:
        backend.close()


def _noise(input_shape: tuple[int, ...]) -> Examples:
    generator = torch.Generator().manual_seed(0)
    shape = (_VERIFIED_IMAGES, *input_shape[1:])
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return Examples(images, torch.zeros(len(images), dtype=torch.int64))


def _evenly(examples: Examples, count: int) -> Examples:
    """At most `count` of the examples, spread over all of them: test sets come sorted by class."""
    step = -(-len(examples) // count)
    return Examples(examples.images[::step], examples.labels[::step])
