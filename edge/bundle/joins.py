"""Whether the stages of a network join along every route."""

from __future__ import annotations

from itertools import pairwise

from edge.bundle.error import BundleError
from edge.network import Network, Stage, StageKind


def check_joins(network: Network, input_shape: tuple[int, ...], classes: int) -> None:
    """Refuse a network in which some route or exit cannot be run.

    Raises:
        BundleError: a stage that is named does not exist, is of the wrong kind, or its shape does not join.
    """
    _check_trunk(network, input_shape)
    _check_gates(network)
    _check_exits(network, classes)
    _check_policy(network, input_shape)
    _check_all_used(network)


def _stage(network: Network, stage_id: str, field: str, kinds: tuple[StageKind, ...]) -> Stage:
    stage = network.stages.get(stage_id)
    if stage is None:
        raise BundleError(f"{field} names the stage {stage_id[:40]!r}, which does not exist")
    if stage.kind not in kinds:
        raise BundleError(f"{field} names the stage {stage_id!r} of kind {stage.kind}, not {' or '.join(kinds)}")
    return stage


def _check_shape(stage: Stage, side: str, wanted: tuple[int, ...], why: str) -> None:
    shape = stage.input.shape if side == "input" else stage.output.shape
    if shape != wanted:
        raise BundleError(f"the {side} of stage {stage.id!r} is {list(shape)}, not {list(wanted)}: {why}")


def _check_trunk(network: Network, input_shape: tuple[int, ...]) -> None:
    if not network.order:
        raise BundleError("order is empty: a network has at least one trunk stage")
    if len(set(network.order)) != len(network.order):
        raise BundleError("order names a stage twice")
    trunk = [_stage(network, stage_id, "order", ("stem", "block")) for stage_id in network.order]
    _check_shape(trunk[0], "input", input_shape, "it takes the image")
    for before, after in pairwise(trunk):
        _check_shape(after, "input", before.output.shape, f"it follows stage {before.id!r}")


def _check_gates(network: Network) -> None:
    for index, gate in enumerate(network.gates):
        block = _stage(network, gate.block, f"gates[{index}].block", ("block",))
        if gate.bypass is None:
            _check_shape(block, "output", block.input.shape, "its bypass is the identity")
        else:
            bypass = _stage(network, gate.bypass, f"gates[{index}].bypass", ("bypass",))
            _check_shape(bypass, "input", block.input.shape, f"it replaces block {block.id!r}")
            _check_shape(bypass, "output", block.output.shape, f"it replaces block {block.id!r}")
        if gate.decision is not None:
            decision = _stage(network, gate.decision, f"gates[{index}].decision", ("gate",))
            _check_shape(decision, "input", block.input.shape, f"it decides on block {block.id!r}")
            _check_shape(decision, "output", (1, 1), "it gives one probability")
    _check_in_order(network, "gates", [gate.block for gate in network.gates])


def _check_exits(network: Network, classes: int) -> None:
    if not network.exits:
        raise BundleError("exits is empty: a network has at least one head")
    for index, exit_ in enumerate(network.exits):
        after = _stage(network, exit_.after, f"exits[{index}].after", ("stem", "block"))
        head = _stage(network, exit_.head, f"exits[{index}].head", ("head",))
        _check_shape(head, "input", after.output.shape, f"it stands behind stage {after.id!r}")
        _check_shape(head, "output", (1, classes), f"the task has {classes} classes")
    _check_in_order(network, "exits", [exit_.after for exit_ in network.exits])
    if network.exits[-1].after != network.order[-1]:
        raise BundleError(
            f"the last exit stands behind stage {network.exits[-1].after!r}, not behind the last, {network.order[-1]!r}"
        )


def _check_in_order(network: Network, field: str, named: list[str]) -> None:
    positions = {stage_id: position for position, stage_id in enumerate(network.order)}
    for stage_id in named:
        if stage_id not in positions:
            raise BundleError(f"{field} names the stage {stage_id!r}, which is not in order")
    for before, after in pairwise(named):
        if positions[before] >= positions[after]:
            raise BundleError(f"{field} names {after!r} behind {before!r}: they must follow the order of the trunk")


def _check_policy(network: Network, input_shape: tuple[int, ...]) -> None:
    if network.policy is None:
        return
    policy = _stage(network, network.policy, "policy", ("policy",))
    if not network.gates:
        raise BundleError("policy is given, but the network has no gates")
    _check_shape(policy, "input", input_shape, "it takes the image")
    _check_shape(policy, "output", (1, len(network.gates)), "it gives one probability per gate")


def _check_all_used(network: Network) -> None:
    used = {*network.order, *(exit_.head for exit_ in network.exits)}
    used |= {stage for gate in network.gates for stage in (gate.bypass, gate.decision) if stage is not None}
    for stage_id in network.stages:
        if stage_id not in used and stage_id != network.policy:
            raise BundleError(f"stage {stage_id!r} stands in no order, gate, exit or policy")
