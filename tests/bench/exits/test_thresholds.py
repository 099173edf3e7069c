"""The search for thresholds, against trying them all."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.exits.curve import common_thresholds, curve
from bench.exits.search import common_threshold, thresholds_per_exit
from bench.exits.table import NEVER, ExitTable, break_even_shares, oracle, outcome
from bench.exits.target import Target, TargetError, parse_target


def table(seed: int, frames: int = 12, exits: int = 3, levels: int | None = 4) -> ExitTable:
    """Exits that are the surer the deeper they lie, and right the oftener the surer; few levels make ties."""
    generator = np.random.default_rng(seed)
    certainty = generator.random((frames, exits)) ** (1.0 / np.arange(1, exits + 1))
    right = generator.random((frames, exits)) < 0.3 + 0.7 * certainty
    if levels:
        certainty = np.round(certainty * levels) / levels
    costs = np.cumsum(generator.uniform(0.5, 1.5, exits))
    return ExitTable(certainty, right, costs, float(costs[-1]) - 0.1)


def naive(of: ExitTable, thresholds, most_confident: bool = False) -> tuple[float, float, list[int]]:
    """Accuracy, mean milliseconds and exits, frame by frame."""
    right, cost_ms, exits = 0, 0.0, []
    asked = [index for index in range(of.exits - 1) if thresholds[index] < NEVER]
    for certainty, answers in zip(of.certainty, of.right, strict=True):
        fired = [index for index in asked if certainty[index] >= thresholds[index]]
        leave = fired[0] if fired else of.exits - 1
        answer = leave
        if not fired and most_confident:
            answer = max([*asked, of.exits - 1], key=lambda index: certainty[index])
        right += answers[answer]
        spared = sum(thresholds[index] == NEVER for index in range(leave))
        cost_ms += of.cost_ms[leave] - of.ask_ms * spared
        exits.append(leave)
    return right / of.frames, cost_ms / of.frames, exits


seeds = st.integers(0, 2**32 - 1)
targets = st.sampled_from(
    [
        Target("accuracy", 0.5),
        Target("accuracy", 0.75),
        Target("loss", 0.1),
        Target("latency", 0.5),
        Target("latency", 1),
        Target("latency", 1.5, in_ms=True),
    ]
)


@given(seeds, st.booleans(), st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.75, 0.9, NEVER]), min_size=2, max_size=2))
def test_an_outcome_is_that_of_every_frame_by_itself(seed: int, most_confident: bool, thresholds: list[float]) -> None:
    of = table(seed)
    found = outcome(of, np.array(thresholds), most_confident=most_confident)
    accuracy, mean_ms, exits = naive(of, thresholds, most_confident)
    assert found.exit.tolist() == exits
    assert found.accuracy == pytest.approx(accuracy)
    assert found.mean_ms == pytest.approx(mean_ms)


@given(seeds, st.booleans())
def test_the_curve_is_the_outcome_of_every_threshold(seed: int, most_confident: bool) -> None:
    of = table(seed)
    thresholds = np.concatenate((common_thresholds(of), np.unique(of.certainty)))
    found = curve(of, thresholds, most_confident=most_confident)
    for index, threshold in enumerate(thresholds):
        accuracy, mean_ms, exits = naive(of, [threshold] * 2, most_confident)
        assert found.accuracy[index] == pytest.approx(accuracy)
        assert found.mean_ms[index] == pytest.approx(mean_ms)
        assert found.shares[index] == pytest.approx(np.bincount(exits, minlength=3) / of.frames)


def brute_force(of: ExitTable, target: Target, *, common: bool) -> tuple[float, float] | None:
    """The best accuracy and milliseconds of all thresholds that tell frames apart."""
    values = [[*np.unique(of.certainty[:, index]), NEVER] for index in range(of.exits - 1)]
    every = [(value,) * (of.exits - 1) for value in sorted({v for column in values for v in column})]
    candidates = every if common else list(product(*values))
    figures = [naive(of, thresholds)[:2] for thresholds in candidates]
    allowed = [each for each in figures if target.allows(of, *each)]
    sign = (lambda each: (-each[0], each[1])) if target.kind == "latency" else (lambda each: (each[1], -each[0]))
    return min(allowed, key=sign) if allowed else None


@given(seeds, targets)
def test_the_common_threshold_is_the_best_of_all(seed: int, target: Target) -> None:
    of = table(seed)
    best = brute_force(of, target, common=True)
    if best is None:
        with pytest.raises(TargetError, match=f"no threshold reaches {target}"):
            common_threshold(of, target)
        return
    found = common_threshold(of, target)
    assert target.allows(of, found.outcome.accuracy, found.outcome.mean_ms)
    assert naive(of, found.thresholds)[:2] == pytest.approx((found.outcome.accuracy, found.outcome.mean_ms))
    # Exits that no frame uses are not asked, so that it may be better still, never worse.
    figure = 0 if target.kind == "latency" else 1
    reached = (found.outcome.accuracy, found.outcome.mean_ms)[figure]
    assert reached >= best[0] - 1e-9 if figure == 0 else reached <= best[1] + 1e-9


@settings(deadline=None, max_examples=40)
@given(seeds, targets)
def test_thresholds_per_exit_lie_between_the_best_common_one_and_the_best_of_all(seed: int, target: Target) -> None:
    of = table(seed)
    assume(brute_force(of, target, common=True) is not None)
    common, per_exit = common_threshold(of, target), thresholds_per_exit(of, target)
    best = brute_force(of, target, common=False)
    assert best is not None
    assert target.allows(of, per_exit.outcome.accuracy, per_exit.outcome.mean_ms)
    if target.kind == "latency":
        assert common.outcome.accuracy - 1e-9 <= per_exit.outcome.accuracy <= best[0] + 1e-9
    else:
        assert best[1] - 1e-9 <= per_exit.outcome.mean_ms <= common.outcome.mean_ms + 1e-9


def test_thresholds_per_exit_find_the_optimum_nearly_always() -> None:
    target, hits, tried = Target("accuracy", 0.7), 0, 0
    for seed in range(40):
        of = table(seed, frames=20)
        best = brute_force(of, target, common=False)
        if best is None or brute_force(of, target, common=True) is None:
            continue
        tried += 1
        hits += thresholds_per_exit(of, target).outcome.mean_ms <= 1.05 * best[1]
    assert hits >= 0.8 * tried > 20


@pytest.mark.parametrize("target", [Target("accuracy", 0.7), Target("latency", 0.7)], ids=str)
def test_exits_that_deserve_different_trust_get_different_thresholds(target: Target) -> None:
    of = table(1, frames=3000, exits=7, levels=None)
    deserved = of.certainty * np.linspace(0.4, 1.0, 7)
    of = ExitTable(of.certainty, np.random.default_rng(2).random(deserved.shape) < deserved, of.cost_ms, of.full_ms)
    common, per_exit = common_threshold(of, target).outcome, thresholds_per_exit(of, target).outcome
    assert target.allows(of, per_exit.accuracy, per_exit.mean_ms)
    if target.kind == "latency":
        assert per_exit.accuracy > common.accuracy + 0.003
    else:
        assert per_exit.mean_ms < 0.98 * common.mean_ms


def test_an_exit_that_lies_is_not_asked() -> None:
    """The first exit is always sure and never right: a common threshold can only shut all."""
    frames = 40
    certainty = np.column_stack((np.full(frames, 0.99), np.full(frames, 0.9), np.full(frames, 0.95)))
    right = np.column_stack((np.zeros(frames), np.ones(frames), np.ones(frames))).astype(bool)
    of = ExitTable(certainty, right, np.array([1.0, 2.0, 3.0]), 2.8)
    assert common_threshold(of, Target("accuracy", 1.0)).thresholds.tolist() == [NEVER, NEVER]
    found = thresholds_per_exit(of, Target("accuracy", 1.0))
    assert found.thresholds[0] == NEVER
    assert found.outcome.exit.tolist() == [1] * frames
    assert found.outcome.mean_ms == pytest.approx(1.9)


def test_the_oracle_leaves_at_the_first_exit_that_is_right() -> None:
    right = np.array([[1, 1, 1], [0, 1, 0], [0, 0, 1], [0, 0, 0]], bool)
    found = oracle(ExitTable(np.zeros((4, 3)), right, np.array([1.0, 2.0, 3.0]), 2.8))
    assert found.exit.tolist() == [0, 1, 2, 2]
    assert (found.accuracy, found.mean_ms) == (0.75, 2.25)


def test_a_break_even_share_makes_both_means_equal() -> None:
    of = ExitTable(np.zeros((4, 4)), np.ones((4, 4), bool), np.array([1.0, 2.0, 2.95, 3.0]), 2.8)
    shares = break_even_shares(of)
    assert shares[2] is None
    for share, cost_ms in zip(shares[:2], of.cost_ms, strict=False):
        assert share * cost_ms + (1 - share) * of.cost_ms[-1] == pytest.approx(of.full_ms)


def test_a_kind_of_target_that_is_none_is_refused() -> None:
    with pytest.raises(TargetError, match=r"^'speed:0.5' is not a target: write accuracy:0.91, loss:0.01"):
        parse_target("speed:0.5")


@pytest.mark.parametrize(
    "text",
    ["accuracy:", "accuracy:91", "accuracy:2ms", "loss:x", "latency:0", "latency:nan", "latency:2", "latency:0ms"],
)
def test_a_target_out_of_range_is_refused(text: str) -> None:
    kind, _, value = text.partition(":")
    sentence = (
        f"^'{value}' is out of range for the target {kind}: give a share above 0 and up to 1.*, as in accuracy:0.91"
    )
    with pytest.raises(TargetError, match=sentence):
        parse_target(text)


def test_a_target_reads_as_it_is_written() -> None:
    assert [str(parse_target(text)) for text in ("accuracy:0.91", "loss:0.01", "latency:0.5", "latency:500us")] == [
        "accuracy:0.91",
        "loss:0.01",
        "latency:0.5",
        "latency:0.5ms",
    ]


def test_a_time_is_a_share_of_the_full_networks() -> None:
    of = table(3)
    for share in (0.8, 0.95):
        of_time = common_threshold(of, Target("latency", share * of.full_ms, in_ms=True))
        assert of_time.outcome.mean_ms == common_threshold(of, Target("latency", share)).outcome.mean_ms
    with pytest.raises(TargetError, match=r"no threshold reaches latency:0.01ms: even .* takes [0-9.]+ ms; ask for"):
        common_threshold(of, parse_target("latency:0.01ms"))
