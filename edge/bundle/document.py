"""`manifest.json`: its strict reading, its writing, and the digest that names a bundle."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from typing import Any, cast, get_args

from edge.bundle.error import BundleError
from edge.bundle.fields import Fields, as_number, parse_json
from edge.bundle.joins import check_joins
from edge.bundle.manifest import Accuracy, Controllers, Manifest, Measured, Provenance, Task
from edge.network import Calibration, Exit, Gate, Network, Stage, StageKind, TensorSpec

SCHEMA = 1

# Names appear in file names, in records and on terminals.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def parse(data: bytes) -> Manifest:
    """The manifest in the bytes of a `manifest.json`.

    Raises:
        BundleError: a key is missing, unknown or of the wrong type, or the stages do not join.
    """
    document = Fields(parse_json(data), "")
    schema = document.whole("schema")
    if schema != SCHEMA:
        raise BundleError(f"schema is {schema}, and this version reads only {SCHEMA}: update edgebench")
    manifest = Manifest(
        name=_name(document, "name"),
        task=_task(document.record("task")),
        input_shape=_input_shape(document.record("input")),
        network=_network(document),
        controllers=_controllers(document.record("controllers")),
        measured=_measured(document.optional_record("measured")),
        provenance=_provenance(document.record("provenance")),
    )
    document.close()
    check_joins(manifest.network, manifest.input_shape, len(manifest.task.classes))
    _check_calibrations(manifest)
    _check_measured(manifest)
    return manifest


def serialise(manifest: Manifest) -> bytes:
    """The bytes of a `manifest.json`; `parse` gives the manifest back."""
    return (json.dumps(_to_json(manifest), indent=2) + "\n").encode("ascii")


def digest(manifest: Manifest) -> str:
    """SHA-256 over the canonical JSON of the manifest, and so over the digests of the files."""
    canonical = json.dumps(_to_json(manifest), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _to_json(manifest: Manifest) -> dict[str, Any]:
    network = manifest.network
    return {
        "schema": SCHEMA,
        "name": manifest.name,
        "task": {"dataset": manifest.task.dataset, "classes": list(manifest.task.classes)},
        "input": {"shape": list(manifest.input_shape), "dtype": "float32", "range": [0, 1], "color": "RGB"},
        "stages": [_stage_to_json(stage) for stage in network.stages.values()],
        "order": list(network.order),
        "gates": [_gate_to_json(gate) for gate in network.gates],
        "exits": [{"after": exit_.after, "head": exit_.head} for exit_ in network.exits],
        "policy": network.policy,
        "controllers": {
            "default": manifest.controllers.default,
            "calibrated": {
                name: {"controller": each.controller, "thresholds": list(each.thresholds), **each.more}
                for name, each in manifest.controllers.calibrated.items()
            },
        },
        "measured": None if manifest.measured is None else _measured_to_json(manifest.measured),
        "provenance": {
            "command": manifest.provenance.command,
            "seed": manifest.provenance.seed,
            "versions": manifest.provenance.versions,
            "data": manifest.provenance.data,
            **manifest.provenance.more,
        },
    }


def _check_calibrations(manifest: Manifest) -> None:
    exits = len(manifest.network.exits) - 1
    for name, calibration in manifest.controllers.calibrated.items():
        place = f"controllers.calibrated.{name[:40]}"
        if not _NAME.fullmatch(name):
            raise BundleError(f"{place} is not a name: 1 to 64 letters, digits, dots, hyphens and underscores")
        if len(calibration.thresholds) != exits:
            raise BundleError(
                f"{place} has {len(calibration.thresholds)} thresholds, and the network {exits} exits before its last"
            )


def _check_measured(manifest: Manifest) -> None:
    exits = len(manifest.network.exits)
    if manifest.measured is not None and len(manifest.measured.exits) not in (0, exits):
        raise BundleError(f"measured.exits has {len(manifest.measured.exits)} figures, and the network {exits} exits")


def _name(fields: Fields, key: str) -> str:
    name = fields.text(key)
    if not _NAME.fullmatch(name):
        raise BundleError(
            f"{fields.place(key)} is {name[:40]!r}, not a name: 1 to 64 letters, digits, dots, hyphens and "
            "underscores, a letter or digit first"
        )
    return name


def _task(fields: Fields) -> Task:
    task = Task(fields.text("dataset"), fields.texts("classes"))
    fields.close()
    if not task.classes:
        raise BundleError("task.classes is empty")
    return task


def _input_shape(fields: Fields) -> tuple[int, ...]:
    shape = fields.shape("shape")
    if len(shape) != 4 or shape[:2] != (1, 3):
        raise BundleError(f"input.shape is {list(shape)}, not [1, 3, height, width]")
    fields.constant("dtype", "float32")
    fields.constant("range", [0, 1])
    fields.constant("color", "RGB")
    fields.close()
    return shape


def _network(document: Fields) -> Network:
    stages: dict[str, Stage] = {}
    files: set[str] = set()
    for fields in document.records("stages"):
        stage = _stage(fields)
        if stage.id in stages:
            raise BundleError(f"two stages have the id {stage.id!r}")
        if stage.file in files:
            raise BundleError(f"two stages have the file {stage.file!r}")
        stages[stage.id] = stage
        files.add(stage.file)
    return Network(
        stages=stages,
        order=document.texts("order"),
        gates=tuple(_gate(fields) for fields in document.records("gates")),
        exits=tuple(_exit(fields) for fields in document.records("exits")),
        policy=document.optional_text("policy"),
    )


def _stage(fields: Fields) -> Stage:
    stage = Stage(
        id=_name(fields, "id"),
        kind=_stage_kind(fields),
        file=_file_name(fields),
        input=_tensor(fields, "inputs"),
        output=_tensor(fields, "outputs"),
        macs=fields.whole("macs"),
        parameters=fields.whole("parameters"),
        sha256=fields.text("sha256"),
    )
    fields.close()
    if not re.fullmatch(r"[0-9a-f]{64}", stage.sha256):
        raise BundleError(f"{fields.place('sha256')} is not a SHA-256 in 64 lowercase hexadecimal digits")
    return stage


def _stage_kind(fields: Fields) -> StageKind:
    kind = fields.text("kind")
    if kind not in get_args(StageKind):
        raise BundleError(f"{fields.place('kind')} is {kind[:40]!r}, not one of {', '.join(get_args(StageKind))}")
    return cast(StageKind, kind)


def _file_name(fields: Fields) -> str:
    # A plain name has no way out of the folder: no separator, no drive, no "..".
    file = fields.text("file")
    if not _NAME.fullmatch(file) or not file.endswith(".onnx"):
        raise BundleError(f"{fields.place('file')} is {file[:40]!r}, not the plain name of an .onnx file in the bundle")
    return file


def _tensor(stage: Fields, key: str) -> TensorSpec:
    tensors = stage.records(key)
    if len(tensors) != 1:
        raise BundleError(
            f"{stage.place(key)} has {len(tensors)} entries, not one: a stage has one input and one output"
        )
    tensor = TensorSpec(tensors[0].text("name"), tensors[0].shape("shape"))
    tensors[0].close()
    if not tensor.name:
        raise BundleError(f"{tensors[0].place('name')} is empty")
    return tensor


def _gate(fields: Fields) -> Gate:
    decision = fields.text("decision") if fields.has("decision") else None
    gate = Gate(fields.text("block"), fields.optional_text("bypass"), decision)
    fields.close()
    return gate


def _exit(fields: Fields) -> Exit:
    exit_ = Exit(fields.text("after"), fields.text("head"))
    fields.close()
    return exit_


def _controllers(fields: Fields) -> Controllers:
    calibrated = fields.record("calibrated")
    names = calibrated.names()
    controllers = Controllers(fields.text("default"), {name: _calibration(calibrated.record(name)) for name in names})
    fields.close()
    return controllers


def _calibration(fields: Fields) -> Calibration:
    controller = fields.text("controller")
    thresholds = tuple(
        None if value is None else as_number(value, place) for value, place in fields.items("thresholds")
    )
    return Calibration(controller, thresholds, fields.rest())


def _measured(fields: Fields | None) -> Measured | None:
    if fields is None:
        return None
    return Measured(
        accuracy=_accuracy(fields.record("accuracy"), "measured.accuracy"),
        data=fields.text("data"),
        n=fields.whole("n", low=1),
        draws=fields.whole("draws", low=1),
        date=fields.text("date"),
        exits=tuple(_accuracy(each, "measured.exits") for each in fields.records("exits"))
        if fields.has("exits")
        else (),
        int8=_accuracy(fields.record("int8"), "measured.int8") if fields.has("int8") else None,
        more=fields.rest(),
    )


def _accuracy(fields: Fields, place: str) -> Accuracy:
    interval = Accuracy(fields.fraction("value"), fields.fraction("low"), fields.fraction("high"))
    fields.close()
    if not interval.low <= interval.value <= interval.high:
        raise BundleError(f"{place} has its value outside its interval")
    return interval


def _provenance(fields: Fields) -> Provenance:
    return Provenance(
        command=fields.text("command"),
        seed=fields.optional_whole("seed"),
        versions=fields.text_map("versions"),
        data=fields.text_map("data"),
        more=fields.rest(),
    )


def _gate_to_json(gate: Gate) -> dict[str, Any]:
    # Written only where there is one: bundles without gate networks keep their digest, and older readers.
    decision = {} if gate.decision is None else {"decision": gate.decision}
    return {"block": gate.block, "bypass": gate.bypass, **decision}


def _stage_to_json(stage: Stage) -> dict[str, Any]:
    return {
        "id": stage.id,
        "kind": stage.kind,
        "file": stage.file,
        "inputs": [{"name": stage.input.name, "shape": list(stage.input.shape)}],
        "outputs": [{"name": stage.output.name, "shape": list(stage.output.shape)}],
        "macs": stage.macs,
        "parameters": stage.parameters,
        "sha256": stage.sha256,
    }


def _measured_to_json(measured: Measured) -> dict[str, Any]:
    # As the networks of gates: written only where there are some.
    exits = {"exits": [asdict(each) for each in measured.exits]} if measured.exits else {}
    int8 = {} if measured.int8 is None else {"int8": asdict(measured.int8)}
    return {
        "accuracy": asdict(measured.accuracy),
        **exits,
        **int8,
        "data": measured.data,
        "n": measured.n,
        "draws": measured.draws,
        "date": measured.date,
        **measured.more,
    }
