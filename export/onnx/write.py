"""Exported stages as a bundle on disk."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import onnx

from edge.bundle import Bundle, Controllers, Manifest, Provenance, Task, write_bundle
from edge.bundle.narrow import narrow
from edge.network import Network, Stage, StageKind, TensorSpec
from export.onnx.macs import count
from export.onnx.stages import ExportedStages


def write_stages(
    folder: Path,
    exported: ExportedStages,
    *,
    name: str,
    task: Task,
    controller: str,
    provenance: Provenance,
    overwrite: bool = False,
) -> Bundle:
    """Write what `export_stages` gave as a bundle, weights as int8; its accuracy is not stated yet.

    What is stored is not what was trained: measure the bundle, then `edge.bundle.state_measured`.

    Raises:
        BundleError: the folder exists and `overwrite` is not set.
    """
    network = describe(exported)
    input_shape = network.stages[network.order[0]].input.shape
    manifest = Manifest(name, task, input_shape, network, Controllers(controller), None, provenance)
    narrowed = {stage: narrow(model) for stage, model in exported.models.items()}
    return write_bundle(folder, manifest, narrowed, overwrite=overwrite)


def describe(exported: ExportedStages) -> Network:
    """The network that exported stages make up, with their cost; the files' digests are not known yet."""
    layout = exported.layout
    return Network(
        stages={stage_id: _stage(stage_id, model) for stage_id, model in exported.models.items()},
        order=layout.order,
        gates=layout.gates,
        exits=layout.exits,
        policy="policy" if "policy" in exported.models else None,
    )


def _stage(stage_id: str, model: onnx.ModelProto) -> Stage:
    cost = count(model)
    return Stage(
        id=stage_id,
        kind=cast(StageKind, stage_id.rstrip("0123456789")),
        file=f"{stage_id}.onnx",
        input=_tensor(model.graph.input[0]),
        output=_tensor(model.graph.output[0]),
        macs=cost.macs,
        parameters=cost.parameters,
        sha256="",  # of the file, which is not written yet
    )


def _tensor(value: onnx.ValueInfoProto) -> TensorSpec:
    return TensorSpec(value.name, tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim))
