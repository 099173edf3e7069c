"""The figures of twins against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import runs
import twin_runs
from hypothesis import given
from hypothesis import strategies as st

from bench.energy.records import Meter, PowerRecord
from bench.energy.trace import Trace
from bench.statistics.bootstrap import ratio_estimate, reduction_estimate, resampling_generator
from bench.summarise import summarise_run
from bench.summary import RunSummary
from bench.timeline import FrameRecord
from bench.twins.summarise import efficacy_of_frames
from devices.interleaving import turns

COSTS, TWINS = twin_runs.COSTS, twin_runs.TWINS


def summarised(records: list[FrameRecord], **more: object) -> RunSummary:
    options = {"exits": {"sdn": 3}, "seeded": False, "complete": True, "costs": COSTS, **more}
    return summarise_run(records, "sdn", None, {"sdn": 0}, runs.QUIET, **options)  # type: ignore[arg-type]


def exits_of(records: list[FrameRecord], twin: str) -> np.ndarray:
    return np.array([each.exit for each in records if each.twin == twin and each.network == "sdn"])


def test_every_figure_is_what_the_records_say() -> None:
    records = list(twin_runs.records(400, noise_ns=0))
    twins = summarised(records, deadline_ms=3.5).twins
    assert twins is not None

    clean, adversarial = (exits_of(records, twin) for twin in twin_runs.TWINS)
    left_ns = np.array(twin_runs.LEFT_NS)
    clean_ns, adversarial_ns = left_ns[clean].mean(), left_ns[adversarial].mean()
    (beside,) = twins.beside
    assert not twins.mixed
    assert beside.pairs == 400
    assert beside.slowdown.value == pytest.approx(adversarial_ns / clean_ns)
    assert beside.lost_savings.value == pytest.approx((adversarial_ns - clean_ns) / (twin_runs.FULL_NS - clean_ns))
    assert twins.ceiling_slowdown.value == pytest.approx(left_ns[2] / clean_ns)
    assert twins.full.mean.value == pytest.approx(3.8)
    assert twins.ceiling.mean.value == pytest.approx(4.0)
    for figures, taken in zip(twins.twins, (clean, adversarial), strict=True):
        assert figures.network.frames == 400
        assert figures.network.exits == np.bincount(taken, minlength=3).tolist()
        assert figures.saved.value == pytest.approx(1 - left_ns[taken].mean() / twin_runs.FULL_NS)
        # Preprocessing takes 0.21 ms, so that only the last exit is late.
        assert figures.missed.value == pytest.approx((taken == 2).mean())
        assert figures.network.accuracy.n == 400


def test_the_interval_of_lost_savings_holds_the_truth_as_often_as_it_says() -> None:
    left_ns = np.array(twin_runs.LEFT_NS, np.float64)
    truth = (3.6 - 2.4) / (3.8 - 2.4)
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(60):
        clean = left_ns[generator.choice(3, 300, p=(0.7, 0.2, 0.1))]
        adversarial = left_ns[generator.choice(3, 300, p=(0.1, 0.2, 0.7))]
        lost = ratio_estimate(adversarial - clean, twin_runs.FULL_NS - clean, resampling_generator())
        assert lost is not None
        held += lost.low <= truth + 1e-12 and truth <= lost.high + 1e-12
    # 95% of 60, less three standard deviations.
    assert held >= 52


def curve_area(exits: np.ndarray, shares: np.ndarray) -> float:
    """The area under DeepSloth's curve, with the trapezoidal rule itself."""
    left = np.cumsum(np.bincount(exits, minlength=len(shares)) / len(exits))
    x, y = np.concatenate(([0.0], shares)), np.concatenate(([0.0], left))
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))


@given(st.lists(st.integers(0, 2), min_size=1, max_size=50))
def test_the_efficacy_is_the_area_under_the_curve(taken: list[int]) -> None:
    step, trapezoid = efficacy_of_frames([("", exit_) for exit_ in taken], COSTS)
    shares = np.array([210, 330, 460]) / 460
    assert trapezoid.mean() == pytest.approx(curve_area(np.array(taken), shares))
    assert step.mean() == pytest.approx(1 - shares[taken].mean())
    # Joining neighbours by lines flatters.
    assert trapezoid.mean() > step.mean()


def test_frames_that_all_run_to_the_end_have_no_efficacy() -> None:
    step, trapezoid = efficacy_of_frames([("", 2)] * 3, COSTS)
    assert step.tolist() == [0, 0, 0]
    assert trapezoid.mean() == pytest.approx(1 - (330 / 460 + 1) / 2)


def test_routes_have_the_stepwise_efficacy_alone() -> None:
    gated = replace(COSTS, trunk=tuple(replace(each, gate=index, dropped=10) for index, each in enumerate(COSTS.trunk)))
    step, trapezoid = efficacy_of_frames([("1111", 2), ("0000", 2), ("1100", 2)], gated)
    assert step.tolist() == pytest.approx([0, 1 - 100 / 460, 1 - 280 / 460])
    assert trapezoid is None


def test_a_mixed_stream_has_no_pairs_and_a_slowdown_of_two_means() -> None:
    one_of_each = [
        each
        for each in twin_runs.records(600, noise_ns=0, references=False)
        if (each.twin == "clean") == (each.pair % 3 != 0)
    ]
    twins = summarised(one_of_each).twins
    (beside,) = twins.beside
    means = [np.mean([each.inference_ns for each in one_of_each if each.twin == twin]) for twin in twin_runs.TWINS]
    assert twins.mixed
    assert (beside.pairs, beside.lost_savings) == (0, None)
    assert beside.slowdown.value == pytest.approx(means[1] / means[0])
    assert (twins.full, twins.ceiling, twins.ceiling_slowdown) == (None, None, None)


def test_a_failed_twin_is_wrong_and_unpaired() -> None:
    records = [
        each._replace(predicted=None, inference_ns=0, error="no number")
        if each.twin == "adversarial" and each.pair < 10 and each.network == "sdn"
        else each
        for each in twin_runs.records(100)
    ]
    twins = summarised(records).twins
    assert twins.beside[0].pairs == 90
    assert twins.twins[1].network.failed == 10
    assert twins.twins[1].network.accuracy.n == 100


def test_no_saving_can_be_lost_where_there_was_none() -> None:
    slow = [
        each._replace(inference_ns=1_900_000) if each.network == "sdn/full" else each for each in twin_runs.records(100)
    ]
    twins = summarised(slow).twins
    assert twins.beside[0].lost_savings is None
    assert twins.twins[0].saved.high < 0


def test_frames_without_versions_have_no_such_figures() -> None:
    records = [each._replace(twin=None, pair=None) for each in twin_runs.records(30, references=False)]
    assert summarised(records).twins is None


def test_a_ratio_is_that_of_the_reduction() -> None:
    generator = np.random.default_rng(0)
    model, baseline = generator.gamma(4, 1, 300), generator.gamma(9, 1, 300)
    ratio = ratio_estimate(model, baseline, resampling_generator())
    reduction = reduction_estimate(model, baseline, resampling_generator())
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx(
        (1 - reduction.value, 1 - reduction.high, 1 - reduction.low)
    )


def test_a_ratio_to_what_may_be_nothing_has_no_interval() -> None:
    generator = np.random.default_rng(0)
    assert ratio_estimate(np.ones(50), generator.normal(0.05, 1, 50), generator) is None
    assert ratio_estimate(np.ones(19), np.ones(19), generator) is None


@pytest.mark.parametrize(("block", "known"), [(100, True), (1, False)])
def test_versions_shown_in_long_stretches_have_energies(block: int, known: bool) -> None:
    """A meter reads every 20 ms, a frame's time; an adversarial frame draws 3 W then, a clean one 2 W."""
    shown = list(turns(1200, 2, block))
    template = next(twin_runs.records(1, references=False))
    records = [
        template._replace(frame=frame, twin=TWINS[version], pair=pair, arrival_ns=frame * 20_000_000)
        for frame, (pair, version) in enumerate(shown)
    ]
    # Nearly no pauses, so that no idle baseline is needed.
    records = [each._replace(inference_ns=19_700_000) for each in records]
    noise = np.random.default_rng(0).normal(0, 300, len(shown))
    milliwatts = np.array([2000.0 + 1000.0 * version for _, version in shown]) + noise
    trace = Trace("power", np.arange(len(shown)) * 20_000_000 + 10_000_000, milliwatts)
    meter = Meter("board", "board", 0.02, ("board/IN",), ("board/IN",))

    summary = summarised(records, power=PowerRecord((meter,), {"board/IN": trace}, None, None))

    energies = [figures.energy_mj for figures in summary.twins.twins]
    found = [finding for finding in summary.verdict.findings if finding.what == "energy by version: not known"]
    if known:
        assert [each.value for each in energies] == pytest.approx([40, 60], rel=0.03)
        assert not found
    else:
        assert None in energies
        assert "recorded://FILE?block=500" in found[0].advice


def test_energy_by_version_takes_a_model_that_is_alone() -> None:
    meter = Meter("board", "board", 0.02, ("board/IN",), ("board/IN",))
    record = PowerRecord((meter,), {}, None, None)
    summary = summarised(list(twin_runs.records(30)), power=record)
    assert any("--alone" in finding.advice for finding in summary.verdict.findings)
