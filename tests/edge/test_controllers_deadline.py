"""The deadline controller on a clock that only stages move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from scripted import IMAGE, Scripted, staged

from edge.controllers.composed import Composed
from edge.controllers.confidence import Confidence
from edge.controllers.costs import RecentCosts
from edge.controllers.deadline import Deadline
from edge.controllers.gusodrop import GuSoDrop
from edge.randomness import GateRandom
from edge.runtime import Inference, Runtime

EXITS = (1, 2, 3, 4)
MS = 1_000_000


@dataclass
class Machine:
    """Where a block takes 1 ms and a head 0.1 ms, all `slower` times."""

    slower: float = 1.0
    now_ns: int = 0
    cost_ns: Callable[[str], float] = lambda stage: 0.1 * MS if stage.startswith(("head", "policy")) else 1.0 * MS
    scores: dict[str, list[float]] = field(
        default_factory=lambda: {f"head{index}": [0.1, 0.0] for index in range(len(EXITS))}
    )

    def runtime(self, budget: str, *others, gated: bool = False) -> Runtime:
        deadline = Deadline(budget)
        deadline.clock = lambda: self.now_ns
        self.backend = Scripted(self.scores, spend=self._spend)
        controller = Composed([deadline, *others]) if others else deadline
        return Runtime(staged(EXITS, gated=gated), self.backend, controller, random=GateRandom(1))

    def infer(self, runtime: Runtime) -> tuple[Inference, float]:
        """The answer, and how many milliseconds it took."""
        began_ns = self.now_ns
        result = runtime.infer(IMAGE)
        return result, (self.now_ns - began_ns) / MS

    def _spend(self, stage: str) -> None:
        self.now_ns += round(self.slower * self.cost_ns(stage))


@pytest.mark.parametrize(
    ("budget", "stop"), [("2.1ms", 0), ("3.0ms", 0), ("3.2ms", 1), ("4400us", 2), ("5.4", 3), ("0.1s", 3)]
)
def test_the_deepest_exit_in_time_answers_and_no_head_before_it_runs(budget: str, stop: int) -> None:
    machine = Machine()
    runtime = machine.runtime(budget)
    # At first a way is known as the sum of its parts, heads included; what was gone is known itself.
    for _ in range(3):
        result, _ = machine.infer(runtime)
    assert result.exit == stop
    assert result.plan == "fused"
    if stop == 3:
        assert [each for each in machine.backend.ran if each.startswith("head")] == ["head3"]


@pytest.mark.parametrize("budget_ms", [2.1, 2.5, 3.1, 3.7, 4.3, 5.0, 6.0])
def test_no_frame_is_late_on_a_machine_that_repeats_itself(budget_ms: float) -> None:
    machine = Machine()
    runtime = machine.runtime(f"{budget_ms}ms")
    assert all(machine.infer(runtime)[1] <= budget_ms + 1e-9 for _ in range(200))


def test_where_even_the_first_exit_is_late_it_answers() -> None:
    machine = Machine()
    result, took_ms = machine.infer(machine.runtime("1ms"))
    assert (result.exit, took_ms) == (0, 2.1)


def test_after_the_machine_slows_down_few_frames_are_late_and_after_that_it_goes_deep_again() -> None:
    machine = Machine()
    runtime = machine.runtime("6ms")
    assert machine.infer(runtime)[0].exit == 3
    machine.slower = 2.0
    late = [machine.infer(runtime)[1] > 6.0 for _ in range(400)]
    # Twice for each of three ways until that is learned, then each time that one is tried again.
    assert sum(late[:20]) <= 6
    assert sum(late) <= 6 + 2 * 400 / 20
    machine.slower = 1.0
    assert {machine.infer(runtime)[0].exit for _ in range(2000)} >= {3}
    assert machine.infer(runtime)[0].exit == 3


def test_one_hiccup_changes_nothing() -> None:
    machine = Machine()
    runtime = machine.runtime("6ms")
    for _ in range(40):
        machine.infer(runtime)
    machine.slower = 10.0
    machine.infer(runtime)
    machine.slower = 1.0
    assert [machine.infer(runtime)[0].exit for _ in range(5)] == [3] * 5


@pytest.mark.parametrize("generator", [np.random.default_rng(seed) for seed in range(3)])
def test_nearly_all_frames_are_in_time_where_costs_vary(generator: np.random.Generator) -> None:
    machine = Machine()
    runtime = machine.runtime("4.6ms")
    late, exits = 0, set()
    for _ in range(1000):
        machine.slower = generator.lognormal(0.0, 0.05)
        result, took_ms = machine.infer(runtime)
        late += took_ms > 4.6
        exits.add(result.exit)
    assert late <= 60
    assert exits & {2, 3}


def test_a_sure_exit_stops_earlier_and_an_unsure_one_is_asked_until_time_is_up() -> None:
    machine = Machine()
    machine.scores["head1"] = [9.0, 0.0]
    assert machine.infer(machine.runtime("9ms", Confidence(0.9)))[0].exit == 1
    machine = Machine()
    result, took_ms = machine.infer(machine.runtime("4.5ms", Confidence(0.9)))
    assert (result.exit, round(took_ms, 6)) == (2, 4.3)
    assert [each for each in machine.backend.ran if each.startswith("head")] == ["head0", "head1", "head2"]


def test_when_time_is_up_the_most_confident_exit_answers_if_asked_to() -> None:
    machine = Machine()
    machine.scores["head0"] = [1.0, 0.0]
    runtime = machine.runtime("4.5ms", Confidence(0.9, fallback="most-confident"))
    result, _ = machine.infer(runtime)
    assert (result.exit, result.answered_by) == (2, 0)


def test_the_time_of_the_policy_counts() -> None:
    machine = Machine()
    machine.scores["policy"] = [1.0] * 4
    machine.cost_ns = lambda stage: 1.0 * MS if not stage.startswith("head") else 0.1 * MS
    runtime = machine.runtime("4.2ms", GuSoDrop(), gated=True)
    for _ in range(3):
        result, took_ms = machine.infer(runtime)
        assert took_ms <= 4.2
    assert result.exit == 1


def test_a_rehearsal_draws_nothing_from_a_seeded_run() -> None:
    def routes(runtime: Runtime) -> list[str]:
        return [runtime.infer(IMAGE).route for _ in range(20)]

    machine = Machine()
    machine.scores["policy"] = [0.5] * 4
    composed = machine.runtime("1s", GuSoDrop(), gated=True)
    alone = Runtime(staged(EXITS, gated=True), Scripted(machine.scores), GuSoDrop(), random=GateRandom(1))
    assert routes(composed) == routes(alone)


@pytest.mark.parametrize("budget", ["", "5", "0ms", "-1ms", "fast", "5 minutes", "1e3"])
def test_a_budget_is_a_time(budget: str) -> None:
    if budget == "5":
        assert Deadline(budget) == Deadline("5")
        return
    with pytest.raises(ValueError, match=r"budget=.* is not a time; for example deadline:5ms"):
        Deadline(budget)


def test_costs_forget_what_is_old() -> None:
    costs = RecentCosts()
    assert (len(costs), costs.upper_ns) == (0, 0)
    for cost_ns in (5, 9, 7):
        costs.add(cost_ns)
    assert costs.upper_ns == 7
    for cost_ns in range(100, 132):
        costs.add(cost_ns)
    assert (len(costs), costs.upper_ns) == (32, 130)
    for _ in range(32 * 20):
        costs.avoid()
    assert (len(costs), costs.upper_ns) == (1, 100)
