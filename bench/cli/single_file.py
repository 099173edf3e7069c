"""`edgebench export MODEL --single-file`: a network with early exits as one ONNX file for other runtimes."""

from __future__ import annotations

import json
import os
from pathlib import Path

from bench.cli.errors import RequestError, Status
from bench.cli.walking import open_with_exits
from bench.registry import make
from edge.bundle import Bundle
from edge.controllers.base import Controller
from edge.controllers.composed import Composed
from edge.controllers.confidence import Confidence
from edge.controllers.constant import DropAll, Fixed, KeepAll
from edge.network import Route
from edge.randomness import GateRandom


def write_single_file(model: str, file: Path, controller: str | None, *, overwrite: bool, as_json: bool) -> Status:
    """Write the network that stops by confidence as one ONNX file, with thresholds and gates fixed inside.

    Raises:
        RequestError: the controller decides what a single file cannot, or the file exists and is not to be replaced.
    """
    bundle = open_with_exits(model)
    made, spec = make("controllers", controller or bundle.manifest.controllers.default)
    thresholds, route = _fixed_decisions(bundle, made, spec)
    if file.exists() and not overwrite:
        raise RequestError("file", f"{file} exists already", "Choose another --single-file, or add --overwrite.")
    from export.onnx.nested import OUTPUTS, nested

    exported = nested(bundle, thresholds, route)
    for key, value in (("bundle", bundle.digest), ("model", bundle.name), ("controller", spec)):
        exported.metadata_props.add(key=f"edgebench.{key}", value=value)
    beside = file.with_name(f".{file.name}.tmp")
    beside.write_bytes(exported.SerializeToString(deterministic=True))
    os.replace(beside, file)
    size_bytes = file.stat().st_size
    if as_json:
        head = {"schema": 1, "model": bundle.name, "bundle": {"digest": bundle.digest}, "controller": spec}
        print(json.dumps({**head, "file": str(file), "size_bytes": size_bytes, "thresholds": thresholds}, indent=2))
    else:
        print(f"{file}: {bundle.name} with {spec}, {size_bytes / 1e6:.1f} MB, outputs {', '.join(OUTPUTS)}")
    return Status.DONE


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
