"""Anybody's torch network as stages: the user names them, its exits and its gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from edge.network import Exit, Gate
from export.onnx.graphs import export_modules
from export.onnx.stages import ExportedStages, Layout, fold_batch_norm


def export_named(
    stages: Mapping[str, nn.Module],
    image: tuple[int, int, int],
    *,
    exits: Sequence[Exit],
    gates: Sequence[Gate] = (),
) -> ExportedStages:
    """The stages of a network as ONNX models: float32, batch 1, batch norms inside a `Sequential` folded.

        export_named(stages, (3, 32, 32), exits=[Exit("block0", "head0"), Exit("block1", "head1")])

    An id is a kind and a number: "stem" and "block0", "block1", ... are the trunk, run in the order of `stages`;
    "head0", ... give scores (batch, classes), "bypass0", ... stand in for a dropped block, "gate0", ... give a
    block's keep-probability (batch, 1), and "policy" those of all gates from the image.  `image` is (3, height, width)
    of images in [0, 1]: what else the network wants of them belongs into the stem and the policy.

    Raises:
        ValueError: a stage is of no such kind or stands nowhere, or an exit or gate names one that is not there.
    """
    order = tuple(stage for stage in stages if _kind(stage) in ("stem", "block"))
    reads = {"policy": 0, **{stage: place for place, stage in enumerate(order)}}
    for named in (*(gate.block for gate in gates), *(each.after for each in exits)):
        if named not in order:
            raise ValueError(
                f"stage {named!r} is named by an exit or a gate, and is not in the trunk: {', '.join(order)}"
            )
    for gate in gates:
        reads.update((stage, order.index(gate.block)) for stage in (gate.bypass, gate.decision) if stage is not None)
    reads.update((each.head, order.index(each.after) + 1) for each in exits)
    for stage in stages:
        if stage not in reads:
            raise ValueError(
                f"stage {stage!r} is part of no trunk, exit or gate: name it in exits or gates, or leave it out"
            )
    modules = fold_batch_norm(nn.ModuleDict(stages))
    features = [torch.full((1, *image), 0.5)]
    with torch.no_grad():
        for stage in order:
            features.append(modules[stage](features[-1]))
    inputs: dict[str, Tensor] = {stage: features[reads[stage]] for stage in stages}
    models = export_modules({stage: modules[stage] for stage in stages}, inputs)
    return ExportedStages(models, Layout(order, tuple(gates), tuple(exits)))


def _kind(stage: str) -> str:
    kind = stage.rstrip("0123456789")
    if kind not in ("stem", "block", "bypass", "head", "gate", "policy"):
        raise ValueError(
            f"stage {stage!r} is of no kind: call it stem, policy, or block, head, bypass or gate and a number"
        )
    return kind
