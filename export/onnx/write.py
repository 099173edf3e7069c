"""Exported stages as a bundle on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import onnx

from edge.bundle import Bundle, Controllers, Manifest, Provenance, Task, write_bundle
from edge.bundle.narrow import narrow
from edge.network import Exit, Gate, Network, Stage, StageKind, TensorSpec
from export.onnx.macs import count


def write_stages(
    folder: Path,
    models: Mapping[str, onnx.ModelProto],
    *,
    name: str,
    task: Task,
    controller: str,
    provenance: Provenance,
    overwrite: bool = False,
) -> Bundle:
    """Write the models of `export_stages` as a bundle, weights as int8; its accuracy is not stated yet.

    What is stored is not what was trained: measure the bundle, then `edge.bundle.state_measured`.

    Raises:
        BundleError: the folder exists and `overwrite` is not set.
    """
    network = describe(models)
    input_shape = network.stages[network.order[0]].input.shape
    manifest = Manifest(name, task, input_shape, network, Controllers(controller), None, provenance)
    narrowed = {stage: narrow(model) for stage, model in models.items()}
    return write_bundle(folder, manifest, narrowed, overwrite=overwrite)


def describe(models: Mapping[str, onnx.ModelProto]) -> Network:
    """The network that stage models of `export_stages` make up: a gate at every block, one exit at the end."""
    stages = {stage_id: _stage(stage_id, model) for stage_id, model in models.items()}
    blocks = [stage_id for stage_id, stage in stages.items() if stage.kind == "block"]
    bypasses = {block: block.replace("block", "bypass") for block in blocks}
    order = ("stem", *blocks)
    return Network(
        stages=stages,
        order=order,
        gates=tuple(Gate(block, bypass if bypass in stages else None) for block, bypass in bypasses.items()),
        exits=(Exit(order[-1], "head"),),
        policy="policy" if "policy" in stages else None,
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
