"""Every controller of exits on every route, against a naive reading of its definition."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import IMAGE, Scripted, expected_trunk, staged

from edge.controllers.base import Controller
from edge.controllers.certainty import max_softmax, softmax_entropy, softmax_margin
from edge.controllers.composed import Composed
from edge.controllers.confidence import Confidence
from edge.controllers.constant import Fixed
from edge.controllers.entropy import Entropy
from edge.controllers.margin import Margin
from edge.controllers.patience import Patience
from edge.network import Calibration
from edge.randomness import GateRandom
from edge.runtime import FrameError, Runtime

EXITS = (1, 2, 4)
LAST = len(EXITS) - 1
THRESHOLDS = [0.0, 0.4, 0.6, 0.9, 1.0]

scores = st.lists(
    st.lists(st.floats(-30, 30, width=32), min_size=3, max_size=3), min_size=len(EXITS), max_size=len(EXITS)
)


def naive_softmax(row: list[float]) -> np.ndarray:
    exact = np.exp(np.float64(row) - max(row))
    return exact / exact.sum()


def naive_measure(controller: Controller, row: list[float]) -> float:
    probabilities = np.sort(naive_softmax(row))
    if isinstance(controller, Confidence):
        return probabilities[-1]
    if isinstance(controller, Margin):
        return probabilities[-1] - probabilities[-2]
    return -np.sum(probabilities * np.log(np.maximum(probabilities, 1e-300)))


def naive_exit(controller: Controller, rows: list[list[float]]) -> int:
    """Where a frame leaves that has these scores at its exits."""
    if isinstance(controller, Patience):
        answers = [int(np.argmax(row)) for row in rows]
        for index in range(LAST):
            agreeing = answers[max(0, index - controller.patience) : index + 1]
            if len(agreeing) == controller.patience + 1 and len(set(agreeing)) == 1:
                return index
        return LAST
    for index, row in enumerate(rows[:LAST]):
        value = naive_measure(controller, row)
        if value <= controller.threshold if isinstance(controller, Entropy) else value >= controller.threshold:
            return index
    return LAST


CONTROLLERS = [
    *(Confidence(threshold) for threshold in THRESHOLDS),
    *(Margin(threshold) for threshold in THRESHOLDS),
    *(Entropy(threshold) for threshold in (0.0, 0.2, 0.7, 1.2)),
    *(Patience(patience) for patience in (1, 2, 3)),
]
# Scores whose measures lie far from all thresholds, in every order.
ROWS = [[3.0, 0.0, 0.0], [0.0, 0.2, 0.0], [0.0, 0.1, 0.9], [9.0, 1.0, 0.0]]


@pytest.mark.parametrize("controller", CONTROLLERS, ids=repr)
def test_every_controller_on_every_route_stops_where_its_definition_says(controller: Controller) -> None:
    network = staged(EXITS, gated=True)
    routes = ["".join(bits) for bits in product("01", repeat=4)]
    taken = set()
    for rows in product(ROWS, repeat=len(EXITS)):
        answers = {f"head{index}": row for index, row in enumerate(rows)}
        for route in routes if rows == tuple(ROWS[:3]) else routes[5:7]:
            backend = Scripted(answers)
            result = Runtime(network, backend, Composed([Fixed(route), controller])).infer(IMAGE)
            stop = naive_exit(controller, rows)
            taken.add(stop)
            assert (result.exit, result.answered_by, result.route) == (stop, stop, route)
            assert result.scores.tolist() == np.float32(rows[stop]).tolist()
            assert [each for each in backend.ran if not each.startswith("head")] == expected_trunk(route, EXITS[stop])
            assert [each for each in backend.ran if each.startswith("head")] == [f"head{i}" for i in range(stop + 1)]
            assert result.plan == ("fused" if route == "1111" else result.plan)
    assert len(taken) > 1 or controller in (Confidence(0.0), Margin(0.0), Confidence(1.0), Margin(1.0)) or taken


@given(scores, st.sampled_from(CONTROLLERS))
def test_any_scores_stop_where_the_definition_says(rows: list[list[float]], controller: Controller) -> None:
    limit = getattr(controller, "threshold", None)
    if limit is not None and any(abs(naive_measure(controller, row) - limit) < 1e-9 for row in rows):
        return
    answers = {f"head{index}": row for index, row in enumerate(rows)}
    assert Runtime(staged(EXITS), Scripted(answers), controller).infer(IMAGE).exit == naive_exit(controller, rows)


@pytest.mark.parametrize("classes", [1, 2, 10, 32, 33, 100, 1000])
def test_measures_are_those_of_the_softmax_for_any_number_of_classes(classes: int) -> None:
    generator = np.random.default_rng(classes)
    for scale in (0.01, 1.0, 30.0, 3e37):
        row = (generator.standard_normal(classes) * scale).astype(np.float32)
        probabilities = np.sort(naive_softmax(row.tolist()))
        assert max_softmax(row) == pytest.approx(probabilities[-1], rel=1e-12)
        margin = probabilities[-1] - probabilities[-2] if classes > 1 else probabilities[-1]
        assert softmax_margin(row) == pytest.approx(margin, rel=1e-9, abs=1e-12)
        shares = probabilities[probabilities > 0]
        assert softmax_entropy(row) == pytest.approx(-(shares * np.log(shares)).sum(), rel=1e-9, abs=1e-9)
        assert 0.0 <= softmax_entropy(row) <= np.log(classes) + 1e-12


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("classes", [3, 50])
@pytest.mark.parametrize("controller", [Confidence(0.3), Margin(0.1), Entropy(5.0), Patience(1)], ids=repr)
def test_an_exit_whose_scores_are_no_numbers_is_an_error_of_the_frame(controller, classes, bad) -> None:
    answers = {f"head{index}": np.ones(classes) for index in range(len(EXITS))}
    answers["head0"][1] = bad
    with pytest.raises(FrameError, match=r"at exit 0 are not finite numbers"):
        Runtime(staged(EXITS), Scripted(answers), controller).infer(IMAGE)


def test_an_exit_without_a_threshold_does_not_run_its_head() -> None:
    backend = Scripted({"head0": [9.0, 0, 0], "head1": [9.0, 0, 0], "head2": [0.0, 1, 0]})
    result = Runtime(staged(EXITS), backend, Confidence(thresholds="-;0.9")).infer(IMAGE)
    assert backend.ran == ["stem", "block1", "block2", "head1"]
    assert result.exit == 1
    assert list(result.confidences) == [1]


def test_each_exit_has_its_own_threshold() -> None:
    backend = Scripted({"head0": [2.0, 0, 0], "head1": [1.0, 0, 0], "head2": [0.0, 1, 0]})
    for thresholds, expected in (("0.99;0.5", 1), ("0.7;0.99", 0), ("0.99;0.99", 2)):
        assert Runtime(staged(EXITS), backend, Confidence(thresholds=thresholds)).infer(IMAGE).exit == expected


@pytest.mark.parametrize("sure", [0, 1, 2])
@pytest.mark.parametrize("kind", [Confidence, Margin, Entropy])
def test_the_most_confident_exit_answers_when_none_is_sure_enough(kind, sure: int) -> None:
    rows = [[0.0, 0.1, 0.2], [0.1, 0.0, 0.2], [0.2, 0.1, 0.0]]
    rows[sure][1] = 1.0
    backend = Scripted({f"head{index}": row for index, row in enumerate(rows)})
    threshold = 0.0 if kind is Entropy else 1.0
    result = Runtime(staged(EXITS), backend, kind(threshold, fallback="most-confident")).infer(IMAGE)
    assert (result.exit, result.answered_by) == (LAST, sure)
    assert result.scores.tolist() == np.float32(rows[sure]).tolist()
    assert list(result.confidences) == [0, 1, 2]


def test_the_last_exit_is_not_measured_where_it_answers_anyhow() -> None:
    backend = Scripted({"head0": [0.1, 0], "head1": [0.1, 0], "head2": [0.1, 0]})
    result = Runtime(staged(EXITS), backend, Confidence(0.9)).infer(IMAGE)
    assert result.exit == LAST
    assert list(result.confidences) == [0, 1]


def test_calibrated_thresholds_come_with_the_network() -> None:
    network = staged(EXITS)
    calibrations = {"mine": Calibration("confidence", (None, 0.5)), "other": Calibration("entropy", (0.1, 0.1))}
    network = type(network)(
        network.stages, network.order, network.gates, network.exits, network.policy, calibrations=calibrations
    )
    backend = Scripted({"head0": [9.0, 0], "head1": [0.5, 0], "head2": [0.1, 0]})
    assert Runtime(network, backend, Confidence(calibrated="mine")).infer(IMAGE).exit == 1
    with pytest.raises(ValueError, match=r"no thresholds 'other' for confidence: it has mine"):
        Runtime(network, backend, Confidence(calibrated="other"))
    with pytest.raises(ValueError, match=r"no thresholds 'x' for margin: find some with edgebench calibrate"):
        Runtime(network, backend, Margin(calibrated="x"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, r"confidence takes a threshold, thresholds, or the name"),
        ({"threshold": 0.5, "calibrated": "x"}, r"one of these only, for example confidence:0.9"),
        ({"threshold": 1.5}, r"a threshold of confidence lies from 0 to 1, and 1.5 does not"),
        ({"thresholds": "0.5;nan"}, r"and nan does not"),
        ({"thresholds": "0.5;high"}, r"confidence cannot use thresholds=0.5;high: write numbers or -"),
    ],
)
def test_thresholds_that_mean_nothing_are_refused(options, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        Confidence(**options)


@pytest.mark.parametrize("controller", [Confidence(0.5), Patience(1), Margin(0.5), Entropy(0.5)], ids=repr)
def test_a_network_that_stops_nowhere_is_refused(controller) -> None:
    with pytest.raises(ValueError, match=r"needs a network with early exits, and this one has none"):
        controller.attach(staged((4,)), GateRandom())


def test_thresholds_must_be_as_many_as_exits() -> None:
    with pytest.raises(ValueError, match=r"given 3 thresholds, and this network has 2 exits before its last"):
        Confidence(thresholds="0.1;0.2;0.3").attach(staged(EXITS), GateRandom())


@pytest.mark.parametrize("stop", range(len(EXITS)))
def test_a_fixed_exit_asks_no_other_head(stop: int) -> None:
    backend = Scripted({f"head{index}": [0.0, 1.0] for index in range(len(EXITS))})
    result = Runtime(staged(EXITS), backend, Fixed(exit=stop)).infer(IMAGE)
    assert backend.ran == [*expected_trunk("", EXITS[stop]), f"head{stop}"]
    assert (result.exit, result.plan) == (stop, "fused")


def test_a_fixed_exit_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"fixed:exit=3 is no exit of this network: choose 0 to 2"):
        Fixed(exit=3).attach(staged(EXITS), GateRandom())
