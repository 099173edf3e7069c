"""What each way through a network costs in multiply-accumulates, kept with a run so that its report needs no bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from edge.network import Network, Route

_MOST_STAGES = 10_000


@dataclass(frozen=True, slots=True)
class BlockCosts:
    """Multiply-accumulates of a stage of the trunk, of what runs in its place where `gate` is closed, and of the gate's
    own network; `gate` is None for a stage that always runs.
    """

    kept: int
    gate: int | None
    dropped: int
    decision: int


@dataclass(frozen=True, slots=True)
class PathCosts:
    """Multiply-accumulates of the trunk's stages, of each exit's head behind so many of them, and of the policy.

    Every exit up to the one taken is taken to have been asked, as in DeepSloth's curve.
    """

    trunk: tuple[BlockCosts, ...]
    exits: tuple[tuple[int, int], ...]
    policy: int

    @classmethod
    def of(cls, network: Network) -> PathCosts:
        """The costs of a network."""

        def macs(stage: str | None) -> int:
            return 0 if stage is None else network.stages[stage].macs

        trunk = [BlockCosts(macs(stage), None, 0, 0) for stage in network.order]
        for index, (gate, position) in enumerate(zip(network.gates, network.gate_positions, strict=True)):
            trunk[position] = BlockCosts(macs(gate.block), index, macs(gate.bypass), macs(gate.decision))
        heads = [macs(exit_.head) for exit_ in network.exits]
        return cls(tuple(trunk), tuple(zip(network.exit_positions, heads, strict=True)), macs(network.policy))

    @property
    def gates(self) -> int:
        return sum(block.gate is not None for block in self.trunk)

    def macs(self, route: Route, exit_index: int) -> int:
        """The whole cost of a frame that took this path: policy, gate networks and heads included."""
        position = self.exits[exit_index][0]
        ran = sum(
            block.decision + (block.kept if block.gate is None or route[block.gate] == "1" else block.dropped)
            for block in self.trunk[:position]
        )
        return self.policy + ran + sum(head for _, head in self.exits[: exit_index + 1])

    def share(self, route: Route, exit_index: int) -> float:
        """The cost as a share of that of the most expensive path, in (0, 1]."""
        return self.macs(route, exit_index) / self.macs("1" * self.gates, len(self.exits) - 1)


def costs_to_json(costs: PathCosts) -> dict[str, Any]:
    """Costs as JSON; `costs_from_json` gives them back."""
    return asdict(costs)


def costs_from_json(document: Mapping[str, Any]) -> PathCosts | None:
    """The costs in JSON that somebody else may have written; None where it is none."""
    trunk, exits, policy = (document.get(key) for key in ("trunk", "exits", "policy"))
    if not (isinstance(trunk, list) and isinstance(exits, list) and _is_count(policy)):
        return None
    if not (0 < len(trunk) <= _MOST_STAGES and 0 < len(exits) <= _MOST_STAGES):
        return None
    gates = [block["gate"] for block in trunk if _is_block(block) and block["gate"] is not None]
    pairs = all(
        isinstance(each, list) and len(each) == 2 and all(map(_is_count, each)) and each[0] <= len(trunk)
        for each in exits
    )
    if not (all(map(_is_block, trunk)) and pairs and sorted(gates) == list(range(len(gates)))):
        return None
    if any(before[0] > after[0] for before, after in pairwise(exits)):
        return None
    costs = PathCosts(
        tuple(BlockCosts(block["kept"], block["gate"], block["dropped"], block["decision"]) for block in trunk),
        tuple((each[0], each[1]) for each in exits),
        int(policy),  # type: ignore[arg-type]
    )
    return costs if costs.macs("1" * costs.gates, len(exits) - 1) > 0 else None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 60


def _is_block(value: object) -> bool:
    return (
        isinstance(value, dict)
        and all(_is_count(value.get(key)) for key in ("kept", "dropped", "decision"))
        and (value.get("gate") is None or _is_count(value.get("gate")))
        and "gate" in value
    )
