"""The most expensive path that a controller leaves open, and what paths cost."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
import scripted

from bench.harness import Contender
from bench.twins.ceiling import Dearest, references
from bench.twins.costs import PathCosts, costs_from_json, costs_to_json
from edge.controllers.base import Controller
from edge.controllers.composed import Composed
from edge.controllers.confidence import Confidence
from edge.controllers.constant import DropAll, Fixed, KeepAll
from edge.controllers.gusodrop import GuSoDrop
from edge.controllers.skipnet import SkipNet
from edge.runtime import Runtime

SURE = np.array([9.0] + [0.0] * 7)
ANSWERS = {f"head{index}": SURE for index in range(3)}


def ran(controller: Controller, **network: object) -> tuple[list[str], str, int]:
    """What a frame runs, its route and its exit; every exit is sure, and no gate network or policy keeps a block."""
    gates = {f"gate{index}": np.array([0.01]) for index in range(1, 5)}
    backend = scripted.Scripted({**ANSWERS, **gates, "policy": np.full(4, 0.001)})
    runtime = Runtime(scripted.staged((1, 2, 4), **network), backend, controller)  # type: ignore[arg-type]
    inference = runtime.infer(scripted.IMAGE)
    return list(backend.ran), inference.route, inference.exit


def test_exits_are_asked_and_passed() -> None:
    assert ran(Confidence(0.5))[2] == 0
    stages, _, exit_ = ran(Dearest(Confidence(0.5)))
    assert exit_ == 2
    assert [stage for stage in stages if stage.startswith("head")] == ["head0", "head1", "head2"]


def test_blocks_are_kept_that_the_policy_drops() -> None:
    assert "1111" not in {ran(GuSoDrop(), gated=True)[1] for _ in range(5)}
    assert ran(Dearest(GuSoDrop()), gated=True)[1] == "1111"


def test_gate_networks_are_asked_and_overruled() -> None:
    stages, route, _ = ran(Dearest(SkipNet()), gated=True, decided=(2, 3))
    assert route == "1111"
    assert {"gate2", "gate3"} <= set(stages)


def test_blocks_that_are_always_dropped_stay_dropped() -> None:
    assert ran(Dearest(Composed([Fixed("1011"), Confidence(0.5)])), gated=True)[1:] == ("1011", 2)


@pytest.mark.parametrize(
    ("controller", "beside"),
    [(Fixed("1011"), 0), (KeepAll(), 0), (DropAll(), 0), (GuSoDrop(), 2), (Composed([DropAll(), Confidence(0.5)]), 2)],
)
def test_networks_take_turns_where_frames_can_differ(controller: Controller, beside: int) -> None:
    network = scripted.staged((1, 4), gated=True)
    backend = scripted.Scripted({**ANSWERS, "policy": np.full(4, 0.5)})
    contender = Contender("net", Runtime(network, backend, controller), Runtime(network, backend, KeepAll()))
    assert [each.name for each in references(contender, controller, 1)] == ["net/full", "net/ceiling"][:beside]


def test_costs_are_those_of_the_stages_that_run() -> None:
    network = scripted.staged((1, 2, 4), gated=True)
    costs = PathCosts.of(network)
    for bits, exit_ in product(product("01", repeat=4), range(3)):
        route = "".join(bits)
        # The policy, and the heads of the exits asked before.
        assert costs.macs(route, exit_) == network.macs(route, exit_) + 1 + exit_
        assert costs.share(route, exit_) <= costs.share("1111", 2) == 1


def test_costs_are_read_back_as_they_were() -> None:
    costs = PathCosts.of(scripted.staged((1, 2, 4), gated=True, decided=(2, 3)))
    assert costs_from_json(json.loads(json.dumps(costs_to_json(costs)))) == costs


@pytest.mark.parametrize(
    "changes",
    [
        {"trunk": []},
        {"trunk": [{"kept": 1, "gate": 5, "dropped": 0, "decision": 0}]},
        {"trunk": [{"kept": -1, "gate": None, "dropped": 0, "decision": 0}]},
        {"trunk": [3]},
        {"exits": [[99, 1]]},
        {"exits": [[2, 1], [1, 1]]},
        {"exits": [[1]]},
        {"exits": None},
        {"policy": True},
    ],
)
def test_costs_that_no_run_wrote(changes: dict[str, object]) -> None:
    document = json.loads(json.dumps(costs_to_json(PathCosts.of(scripted.staged((1, 2, 4))))))
    assert costs_from_json({**document, **changes}) is None
